//! Conversations whose ports differ in a bit or two, taken for one.
//!
//! Clients take one port after the other, so that conversations with the same server may differ in
//! a single bit. Wrong cells turn all bits of a port alike; a bit that many more rows contradict
//! than the others tells two conversations apart. A short one shows only among the rows whose
//! sequence numbers are strange to most of the rest.

use super::conversations::Conversations;
use super::ends::Ends;
use super::roles::Roles;

/// Rows of a conversation below which counts say nothing.
const FEWEST_ROWS: u32 = 12;
/// Rows that contradict a bit by chance, whatever the others do.
const LEAST: f64 = 3.0;

/// What some rows say of each bit of both ports.
#[derive(Clone, Copy, Default)]
struct Counts {
    rows: u32,
    /// Those that do not know the bit, and those that contradict it.
    unknown: [u32; 32],
    against: [u32; 32],
}

impl Counts {
    fn add(&mut self, known: u32, wrong: u32) {
        self.rows += 1;
        ones(!known).for_each(|bit| self.unknown[bit] += 1);
        ones(wrong).for_each(|bit| self.against[bit] += 1);
    }

    /// The bit that far more rows contradict than the middle one of all bits.
    fn odd_bit(&self) -> Option<usize> {
        if self.against.iter().all(|against| f64::from(*against) <= LEAST) {
            return None;
        }
        let all = |bit: usize| self.rows - self.unknown[bit];
        let mut shares: [f64; 32] =
            std::array::from_fn(|bit| f64::from(self.against[bit]) / f64::from(all(bit).max(1)));
        shares.sort_by(f64::total_cmp);
        let usual = shares[16];
        let excess = |bit: usize| {
            let expected = f64::from(all(bit)) * usual;
            f64::from(self.against[bit]) - expected - 5.0 * expected.sqrt() - LEAST
        };
        (0..32).max_by(|a, b| excess(*a).total_cmp(&excess(*b))).filter(|bit| excess(*bit) > 0.0)
    }
}

/// The places of the ones of a word, the least significant first.
fn ones(mut word: u32) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then_some(word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

/// Makes conversations of the rows that contradict such a bit; the roles of all rows then decide
/// which one each row belongs to.
pub(super) fn split(conversations: &mut Conversations, ends: &[Ends], roles: &mut Roles<'_>) {
    let number = conversations.all.len();
    let strange = roles.strange(number);
    // Of all rows, and of the strange ones.
    let mut counts = vec![[Counts::default(); 2]; number];
    for ((ends, role), strange) in ends.iter().zip(&roles.of_row).zip(&strange) {
        let conversation = role >> 1;
        let (known, wrong) = contradicted(ends, *role, conversations.all[conversation].ports);
        for counts in &mut counts[conversation][..=usize::from(*strange)] {
            counts.add(known, wrong);
        }
    }
    let mut apart: Vec<Option<Apart>> = vec![None; number];
    for (conversation, [all, few]) in counts.iter().enumerate() {
        if all.rows < FEWEST_ROWS {
            continue;
        }
        let odd = all.odd_bit().map(|bit| (bit, false));
        if let Some((bit, strange)) = odd.or_else(|| few.odd_bit().map(|bit| (bit, true))) {
            let mut ports = conversations.all[conversation].ports;
            ports[usize::from(bit < 16)] ^= 1 << (bit & 15);
            apart[conversation] = Some(Apart { bit, strange, other: conversations.all.len() });
            conversations.push(ports);
        }
    }
    for ((ends, role), is_strange) in ends.iter().zip(&mut roles.of_row).zip(strange) {
        if let Some(Apart { bit, strange, other }) = apart[*role >> 1] {
            let (_, wrong) = contradicted(ends, *role, conversations.all[*role >> 1].ports);
            if (wrong >> bit) & 1 == 1 && (is_strange || !strange) {
                *role = 2 * other + (*role & 1);
            }
        }
    }
}

/// How the rows of another conversation are told.
#[derive(Clone, Copy)]
struct Apart {
    /// They contradict this one.
    bit: usize,
    /// Whether they must be strange, too.
    strange: bool,
    other: usize,
}

/// The known bits of both ports, the first port high, and those that contradict `ports`.
fn contradicted(ends: &Ends, role: usize, ports: [u16; 2]) -> (u32, u32) {
    let back = role & 1;
    let word = |of: [u32; 2]| of[back] << 16 | of[1 - back];
    let known = word(ends.readings.map(|r| r.known));
    let value = word(ends.readings.map(|r| r.value));
    let expected = u32::from(ports[0]) << 16 | u32::from(ports[1]);
    (known, (value ^ expected) & known)
}
