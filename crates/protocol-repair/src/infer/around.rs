//! Which conversations go on around a row.

use super::habits::WINDOW;

/// Conversations of the rows around one, which moves from row to row.
pub(super) struct Around<'a> {
    of_row: &'a [usize],
    pub(super) row: usize,
    /// Each with how many rows it has here.
    counts: Vec<(usize, usize)>,
}

impl<'a> Around<'a> {
    /// Around a row.
    pub(super) fn at(of_row: &'a [usize], row: usize) -> Self {
        let mut around = Self { of_row, row, counts: Vec::with_capacity(2 * WINDOW + 1) };
        let here = row.saturating_sub(WINDOW)..(row + WINDOW + 1).min(of_row.len());
        here.for_each(|row| around.add(row));
        around
    }

    /// Around the next row.
    pub(super) fn next(&mut self) {
        if let Some(left) = self.row.checked_sub(WINDOW) {
            let conversation = self.of_row[left] >> 1;
            self.counts.retain_mut(|(known, count)| {
                *count -= usize::from(*known == conversation);
                *count > 0
            });
        }
        self.row += 1;
        if self.row + WINDOW < self.of_row.len() {
            self.add(self.row + WINDOW);
        }
    }

    fn add(&mut self, row: usize) {
        let conversation = self.of_row[row] >> 1;
        match self.counts.iter_mut().find(|(known, _)| *known == conversation) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((conversation, 1)),
        }
    }

    /// Conversations with how many rows each one has here, the row itself left out.
    pub(super) fn counts(&self) -> impl Iterator<Item = (usize, usize)> {
        let own = self.of_row[self.row] >> 1;
        self.counts.iter().map(move |(known, count)| (*known, count - usize::from(*known == own)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_moves_counts_what_is_in_it() {
        let of_row: Vec<usize> = (0..60_usize).map(|row| row * row * 7 % 11).collect();
        let mut around = Around::at(&of_row, 0);
        for row in 0..of_row.len() {
            let mut counts: Vec<(usize, usize)> = around.counts().collect();
            counts.sort_unstable();
            let here = row.saturating_sub(WINDOW)..(row + WINDOW + 1).min(of_row.len());
            let of = |conversation: usize| {
                let same = |r: &usize| of_row[*r] >> 1 == conversation;
                (here.clone().any(|r| same(&r)))
                    .then(|| (conversation, here.clone().filter(|r| *r != row && same(r)).count()))
            };
            let mut at: Vec<(usize, usize)> = Around::at(&of_row, row).counts().collect();
            at.sort_unstable();
            assert_eq!(at, counts);
            assert_eq!(counts, (0..6).filter_map(of).collect::<Vec<_>>(), "around row {row}");
            around.next();
        }
    }
}
