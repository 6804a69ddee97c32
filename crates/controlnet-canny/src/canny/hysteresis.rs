//! Classes of pixels, and weak edges grown from strong ones.

/// No edge.
pub(super) const NONE: u8 = 0;
/// An edge if it touches one.
pub(super) const WEAK: u8 = 1;
/// An edge.
pub(super) const STRONG: u8 = 255;

/// The class of every pixel.
///
/// Layout: `height + 2` rows of `width + 2` bytes; the frame is [`NONE`], so that growing needs
/// no edge case.
pub(super) struct ClassMap {
    width: usize,
    height: usize,
    classes: Vec<u8>,
    /// Places of edges whose neighbours are still to be looked at.
    pending: Vec<usize>,
}

impl ClassMap {
    pub(super) fn new(width: usize, height: usize) -> Self {
        let classes = vec![NONE; (width + 2) * (height + 2)];
        Self { width, height, classes, pending: Vec::new() }
    }

    /// Where the pixels of a row begin.
    fn start(&self, row: usize) -> usize {
        (row + 1) * (self.width + 2) + 1
    }

    /// The pixels of a row, without the frame.
    pub(super) fn row_mut(&mut self, row: usize) -> &mut [u8] {
        let start = self.start(row);
        &mut self.classes[start..start + self.width]
    }

    /// Notes the strong edges of a row.
    pub(super) fn collect_strong(&mut self, row: usize) {
        let start = self.start(row);
        let pixels = &self.classes[start..start + self.width];
        let mut place = start;
        for block in pixels.chunks(16) {
            // Most blocks hold none: one vector test skips them.
            if block.iter().fold(0, |all, &class| all | class) & 0x80 != 0 {
                self.pending.extend(
                    block
                        .iter()
                        .zip(place..)
                        .filter(|(class, _)| **class == STRONG)
                        .map(|(_, p)| p),
                );
            }
            place += block.len();
        }
    }

    /// Makes every weak edge that touches an edge an edge, over all eight neighbours, and gives
    /// one byte a pixel, 255 on edges.
    pub(super) fn grow(mut self) -> Vec<u8> {
        let stride = self.width + 2;
        while let Some(place) = self.pending.pop() {
            for first in [place - stride - 1, place - 1, place + stride - 1] {
                for (class, place) in self.classes[first..first + 3].iter_mut().zip(first..) {
                    if *class == WEAK {
                        *class = STRONG;
                        self.pending.push(place);
                    }
                }
            }
        }
        let mut edges = Vec::with_capacity(self.width * self.height);
        for row in 0..self.height {
            let start = self.start(row);
            let pixels = &self.classes[start..start + self.width];
            edges.extend(pixels.iter().map(|&class| if class == STRONG { 255 } else { 0 }));
        }
        edges
    }
}
