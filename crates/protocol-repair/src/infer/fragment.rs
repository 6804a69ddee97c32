//! Which first fragment a later one belongs to.

use crate::draft::{Draft, Transport};
use crate::infer::settle::{is_shown, write};
use nprint_codec::{IpVersion, ipv4};

/// How far back, in rows, a first fragment is looked for.
const REACH: usize = 128;

/// Nats that belonging to an open first fragment may cost before a later one stands alone.
const STANDS_ALONE: f32 = 14.0;

/// Links later fragments to first ones and writes the flags that say so.
pub(crate) fn apply(draft: &mut Draft<'_>) {
    let noise = draft.noise;
    let fields = [ipv4::ID, ipv4::TTL, ipv4::MORE_FRAGMENTS, ipv4::RESERVED];
    let [ids, ttls, more_fragments, reserved] = fields.map(|field| draft.evidence.field(field));
    for row in draft.rows_of(Transport::Fragment) {
        if draft.rows[row].stack.version != IpVersion::V4 {
            continue;
        }
        let [id, ttl] = [ids, ttls].map(|cells| cells.read(row));
        let protocol = draft.value(row, ipv4::PROTOCOL);
        let mut best = (STANDS_ALONE, None);
        for first in (row.saturating_sub(REACH)..row).rev() {
            let away = 0.2 * ((row - first - 1) as f32).min(40.0);
            let stack = draft.rows[first].stack;
            if stack.version != IpVersion::V4 || stack.protocol() != Some(protocol) {
                continue;
            }
            // Most rows are whole packets, which costs too much alone.
            let open = more_fragments.cost(noise, first, more_fragments.read(first), 1);
            if open + away >= best.0 {
                continue;
            }
            // Both sides are evidence: agreeing bits cost nothing.
            let [own_id, own_ttl] = [ids, ttls].map(|cells| cells.read(first));
            let cost = ids.cost(noise, first, own_id, id.value & id.known).min(ids.cost(
                noise,
                first,
                own_id,
                id.value | !id.known,
            )) + 0.5 * ttls.cost(noise, first, own_ttl, ttl.value).min(4.0)
                + open
                + away;
            if cost < best.0 {
                best = (cost, Some(first));
            }
        }
        draft.rows[row].first_fragment = best.1;
    }
    // Flags: more fragments follow a first one, and all but the last of its later ones.
    let mut last_of = vec![None; draft.rows.len()];
    for row in 0..draft.rows.len() {
        if let Some(first) = draft.rows[row].first_fragment {
            last_of[first] = Some(row);
        }
    }
    for row in 0..draft.rows.len() {
        let facts = draft.rows[row];
        if facts.stack.version != IpVersion::V4 {
            continue;
        }
        let reading = more_fragments.read(row);
        let trusted = noise.is_clean() && reading.is_full();
        let more = match (facts.stack.transport, facts.first_fragment) {
            (Transport::Fragment, Some(first)) => last_of[first] != Some(row),
            (Transport::Fragment, None) => trusted && reading.value == 1,
            (Transport::Other, _) => false,
            _ => last_of[row].is_some() || (trusted && reading.value == 1),
        };
        draft.rows[row].more_fragments = more;
        if !more_fragments.are(row, u32::from(more)) {
            draft.set(row, ipv4::MORE_FRAGMENTS, u32::from(more));
        }
        if !reserved.are(row, 0) {
            draft.set(row, ipv4::RESERVED, 0);
        }
    }
}

/// Decides don't-fragment: of whole packets per direction of a flow, of fragments one by one.
pub(crate) fn dont_fragment(draft: &mut Draft<'_>) {
    let is_whole = |draft: &Draft<'_>, row: usize| {
        let facts = draft.rows[row];
        facts.stack.version == IpVersion::V4
            && facts.stack.transport != Transport::Fragment
            && !facts.more_fragments
    };
    if !is_shown(draft, ipv4::DONT_FRAGMENT, is_whole) {
        for rows in draft.pooled_directions().iter() {
            let whole: Vec<usize> =
                rows.iter().copied().filter(|row| is_whole(draft, *row)).collect();
            write(draft, &whole, ipv4::DONT_FRAGMENT);
        }
    }
    let noise = draft.noise;
    // A fragment may be cut again on its way: don't-fragment is then 0 in every real stack.
    for row in 0..draft.rows.len() {
        let facts = draft.rows[row];
        if facts.stack.version != IpVersion::V4 {
            continue;
        }
        let fragment = facts.more_fragments || facts.stack.transport == Transport::Fragment;
        if fragment {
            let reading = draft.evidence.read(row, ipv4::DONT_FRAGMENT);
            let kept = noise.is_clean() && reading.is_full() && reading.value == 1;
            draft.set(row, ipv4::DONT_FRAGMENT, u32::from(kept));
        }
    }
}
