//! How conversations go in a trace: how long they are, and whether they come back after a silence.

/// Rows on each side whose conversations say what is going on. Units: rows of the transport.
pub(super) const WINDOW: usize = 8;
/// Conversations of more rows are all alike. Units: rows.
const SHORT: usize = 4;

/// Rows that went on, and rows, that are supposed before any are seen. Conversations that are too short or
/// too damaged to be known first are exchanges rather than streams.
const BEFORE: [f32; 2] = [0.02, 1.0];

/// What is learned of conversations that are known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Habits {
    /// Returns that a conversation may be expected to have beyond those that were seen.
    returns: f32,
    /// How likely a conversation that has so many rows has more; the last one for all longer ones.
    goes_on: [f32; SHORT + 2],
}

impl Habits {
    /// `conversations` are how many rows each one has and how often it came back; lone rows say nothing.
    pub(super) fn of(conversations: impl Iterator<Item = (usize, f32)>) -> Self {
        let (mut number, mut returned) = (0.0, 0.0);
        // Rows that were the last one of a conversation, and others, by the place in it.
        let (mut ends, mut others) = ([0.0_f32; SHORT + 2], [0.0_f32; SHORT + 2]);
        for (rows, returns) in conversations.filter(|(rows, _)| *rows > 1) {
            number += 1.0;
            returned += returns;
            ends[rows.min(SHORT + 1)] += 1.0;
            (2..rows.min(SHORT + 1)).for_each(|place| others[place] += 1.0);
            others[SHORT + 1] += rows.saturating_sub(SHORT + 1) as f32;
        }
        let (all_ends, all_others): (f32, f32) = (ends.iter().sum(), others.iter().sum());
        let usual = (all_others + BEFORE[0]) / (all_ends + all_others + BEFORE[1]);
        Self {
            returns: (returned + 0.5) / (number + 1.0),
            goes_on: std::array::from_fn(|rows| {
                if rows < 2 {
                    return 1.0;
                }
                (others[rows] + usual) / (ends[rows] + others[rows] + 1.0)
            }),
        }
    }

    /// How likely a row is of a conversation that has `rows` rows, `here` of them around it, and came
    /// back so many times, in a trace of `all` rows.
    pub(super) fn share(&self, rows: usize, here: usize, returns: f32, all: usize) -> f32 {
        let near = 0.8 * here as f32 / (2 * WINDOW) as f32;
        let far = (returns + self.returns) / all as f32;
        ((near + far) * self.goes_on[rows.min(SHORT + 1)]).min(1.0)
    }
}

/// How often the conversation of these rows comes back after more than [`WINDOW`] rows.
pub(super) fn returns(rows: impl Iterator<Item = usize>) -> f32 {
    let mut last = None;
    let mut count = 0.0;
    for row in rows {
        if last.replace(row).is_some_and(|last| row - last > WINDOW) {
            count += 1.0;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_conversations_do_not_go_on() {
        let dns = Habits::of(std::iter::repeat_n((2, 0.0), 50));
        let one = Habits::of(std::iter::once((200, 0.0)));
        assert!(dns.share(1, 1, 0.0, 200) > 50.0 * dns.share(2, 1, 0.0, 200));
        assert!(one.share(2, 1, 0.0, 200) > 0.9 * one.share(1, 1, 0.0, 200));
        // And come back less often than one that did.
        assert!(dns.share(1, 0, 0.0, 200) < 0.1 * one.share(1, 0, 3.0, 200));
    }
}
