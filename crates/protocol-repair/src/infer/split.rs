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
const FEWEST_ROWS: usize = 12;

/// Rows that know and that contradict each bit of both ports.
type Counts = [(u32, u32); 32];

/// Makes conversations of the rows that contradict such a bit; the roles of all rows then decide
/// which one each row belongs to.
pub(super) fn split(conversations: &mut Conversations, ends: &[Ends], roles: &mut Roles<'_>) {
    let number = conversations.all.len();
    let strange = roles.strange(number);
    // Of all rows, and of the strange ones.
    let mut counts: Vec<[Counts; 2]> = vec![[[(0, 0); 32]; 2]; number];
    let mut rows = vec![0_usize; number];
    for ((ends, role), strange) in ends.iter().zip(&roles.of_row).zip(&strange) {
        let conversation = role >> 1;
        rows[conversation] += 1;
        let (known, wrong) = contradicted(ends, *role, conversations.all[conversation].ports);
        for counts in &mut counts[conversation][..=usize::from(*strange)] {
            for (bit, (all, against)) in counts.iter_mut().enumerate() {
                *all += (known >> bit) & 1;
                *against += (wrong >> bit) & 1;
            }
        }
    }
    let mut apart: Vec<Option<Apart>> = vec![None; number];
    for conversation in 0..number {
        let [all, few] = &counts[conversation];
        let odd = odd_bit(all).map(|bit| (bit, false));
        if rows[conversation] >= FEWEST_ROWS
            && let Some((bit, strange)) = odd.or(odd_bit(few).map(|bit| (bit, true)))
        {
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

/// The bit that far more rows contradict than the middle one of all bits.
fn odd_bit(counts: &Counts) -> Option<usize> {
    let share = |(all, against): (u32, u32)| f64::from(against) / f64::from(all.max(1));
    let mut shares = counts.map(share);
    shares.sort_by(f64::total_cmp);
    let usual = shares[16];
    let excess = |(all, against): (u32, u32)| {
        let expected = f64::from(all) * usual;
        f64::from(against) - expected - 5.0 * expected.sqrt() - 3.0
    };
    (0..32)
        .max_by(|a, b| excess(counts[*a]).total_cmp(&excess(counts[*b])))
        .filter(|bit| excess(counts[*bit]) > 0.0)
}
