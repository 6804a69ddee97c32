//! Keys that were met, each with its place in the order in which they came.

/// What a key is found by.
pub(super) trait Key: Copy + PartialEq {
    /// A number that equal keys share and others seldom do.
    fn number(self) -> u32;
}

impl Key for u32 {
    fn number(self) -> u32 {
        self
    }
}

/// Lists that keys are divided among.
const LISTS: usize = 128;
/// The end of a list.
const END: u16 = u16::MAX;

/// Some keys, far fewer than [`END`].
///
/// # Layout
/// One list of places for each of [`LISTS`] kinds of key: where it begins, and what follows each place. A step
/// of a search has few keys or a few hundred: forgetting them all is a few stores.
pub(super) struct Known<K> {
    first: [u16; LISTS],
    keys: Vec<(K, u16)>,
}

impl<K: Key> Known<K> {
    pub(super) fn with_capacity(keys: usize) -> Self {
        Self { first: [END; LISTS], keys: Vec::with_capacity(keys) }
    }

    pub(super) fn clear(&mut self) {
        if !self.keys.is_empty() {
            self.first = [END; LISTS];
            self.keys.clear();
        }
    }

    /// The place of a key, and whether it was there before.
    #[inline]
    pub(super) fn place(&mut self, key: K) -> (usize, bool) {
        // The high bits of a product depend on every bit of the number.
        let list = key.number().wrapping_mul(0x9e37_79b1) >> (32 - LISTS.trailing_zeros());
        let first = &mut self.first[list as usize];
        let mut at = *first;
        while let Some((known, next)) = self.keys.get(usize::from(at)) {
            if *known == key {
                return (usize::from(at), true);
            }
            at = *next;
        }
        let place = self.keys.len();
        self.keys.push((key, *first));
        *first = place as u16;
        (place, false)
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Known};

    #[test]
    fn keys_keep_their_places() {
        let mut known = Known::with_capacity(0);
        for _ in 0..2 {
            let mut met: Vec<u32> = Vec::new();
            for n in 0..2000_u32 {
                // Each comes back several times, some soon and some late.
                let key = (n.wrapping_mul(n) % 611) << 7;
                let place = met.iter().position(|k| *k == key);
                assert_eq!(known.place(key), (place.unwrap_or(met.len()), place.is_some()));
                if place.is_none() {
                    met.push(key.number());
                }
            }
            known.clear();
        }
    }
}
