//! Conversations that are none: rows that are likelier of others than worth one of their own.

/// What a conversation of one row costs: one in twenty finds no answer. Units: nats.
const LONE: f32 = 3.0;

/// What a row may be.
pub(super) struct Choice {
    /// Its best role in the conversation that it belongs to.
    pub(super) own: usize,
    /// Its best role in any other, or `own` where there is none.
    pub(super) other: usize,
    /// How much more likely the other one is; where there is none, at most. Units: nats.
    pub(super) gain: f32,
    /// What its being of its own conversation costs apart from what it says. Units: nats.
    pub(super) prior: f32,
}

/// Whether a conversation of these rows may cost more than they lose.
pub(super) fn may_dissolve(choices: &[Choice], rows: &[u32], prices: &[f32]) -> bool {
    rows.first().is_some_and(|row| {
        let price = prices[choices[*row as usize].own >> 1];
        loss(choices, rows) < price + 1e-2
    })
}

/// Nats that rows lose with their conversation, less those of its own that they save.
fn loss(choices: &[Choice], rows: &[u32]) -> f32 {
    let rows = || rows.iter().map(|row| &choices[*row as usize]);
    let lost: f32 = rows().map(|choice| (-choice.gain).max(0.0)).sum();
    // The row that begins a conversation pays for that alone, or for being all there is of it.
    let first = rows().map(|choice| choice.prior).fold(f32::MAX, f32::min);
    let lone = if rows().len() == 1 { LONE } else { 0.0 };
    lost + first - lone
}

/// Gives the rows of a conversation to others where that costs less than the conversation itself
/// does. What takes rows in is not dissolved itself.
pub(super) fn dissolve(
    choices: &[Choice],
    members: &[Vec<u32>],
    prices: &[f32],
    roles: &mut [usize],
) {
    let mut order: Vec<usize> = (0..members.len()).filter(|c| !members[*c].is_empty()).collect();
    order.sort_by_key(|c| members[*c].len());
    let (mut taken, mut gone) = (vec![false; members.len()], vec![false; members.len()]);
    for conversation in order {
        let rows = || members[conversation].iter().map(|m| *m as usize);
        let stays = |row: usize| {
            let other = choices[row].other >> 1;
            other == conversation || gone[other]
        };
        let lost = loss(choices, &members[conversation]);
        if taken[conversation] || lost >= prices[conversation] || rows().any(stays) {
            continue;
        }
        gone[conversation] = true;
        for row in rows() {
            taken[choices[row].other >> 1] = true;
            roles[row] = choices[row].other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The roles of rows whose last ones are a conversation of their own, each `gain` likelier in the other.
    fn roles(own: usize, gain: f32) -> Vec<usize> {
        let choice = |own: usize, other: usize, gain| Choice {
            own: 2 * own,
            other: 2 * other,
            gain,
            prior: 4.0,
        };
        let mut choices: Vec<Choice> = (0..6).map(|_| choice(0, 0, -24.0)).collect();
        choices.extend((0..own).map(|_| choice(1, 0, gain)));
        let members: [Vec<u32>; 2] = [(0..6).collect(), (6..6 + own as u32).collect()];
        let mut roles: Vec<usize> = choices.iter().map(|choice| choice.own).collect();
        dissolve(&choices, &members, &[20.0, 20.0], &mut roles);
        let stays = roles[6] == choices[6].own;
        assert_eq!(may_dissolve(&choices, &members[1], &[20.0, 20.0]), !stays);
        roles.split_off(6)
    }

    #[test]
    fn rows_go_where_their_conversation_costs_more_than_they_lose() {
        // Its price is 20, what the first row pays no more is 4, and a lone row's surprise 3.
        assert_eq!(roles(2, -7.9), [0, 0]);
        assert_eq!(roles(2, -8.1), [2, 2]);
        assert_eq!(roles(1, -18.9), [0]);
        assert_eq!(roles(1, -19.1), [2]);
    }
}
