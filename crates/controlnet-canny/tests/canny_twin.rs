//! The fast path against a naive twin that looks every pixel up by its coordinates.

use controlnet_canny::{Canny, ColourMode, Error, Norm, PixelView, to_gray};
use proptest::prelude::*;

/// Edges by the definition, one pixel at a time, all arithmetic in 64 bits.
fn naive(image: PixelView<'_>, canny: &Canny) -> Vec<u8> {
    let (w, h, c) = (image.width as i64, image.height as i64, image.channels as i64);
    let sample = |row: i64, column: i64, channel: i64| {
        let (row, column) = (row.clamp(0, h - 1), column.clamp(0, w - 1));
        i64::from(image.data[((row * w + column) * c + channel) as usize])
    };
    let gradient = |row: i64, column: i64| {
        let mut best = (-1, 0, 0);
        for channel in 0..c {
            let (mut dx, mut dy) = (0, 0);
            for (offset, weight) in [(-1, 1), (0, 2), (1, 1)] {
                dx += weight * sample(row + offset, column + 1, channel);
                dx -= weight * sample(row + offset, column - 1, channel);
                dy += weight * sample(row + 1, column + offset, channel);
                dy -= weight * sample(row - 1, column + offset, channel);
            }
            let length = match canny.norm {
                Norm::L1 => dx.abs() + dy.abs(),
                Norm::L2 => dx * dx + dy * dy,
            };
            if length > best.0 {
                best = (length, dx, dy);
            }
        }
        best
    };
    let length = |row: i64, column: i64| {
        let inside = (0..h).contains(&row) && (0..w).contains(&column);
        if inside { gradient(row, column).0 } else { 0 }
    };
    let limit = |level: f64| match canny.norm {
        Norm::L2 if level > 0.0 => level.min(32767.0).powi(2).floor() as i64,
        Norm::L1 | Norm::L2 => level.floor() as i64,
    };
    let low = limit(canny.low.min(canny.high));
    let high = limit(canny.low.max(canny.high));

    // 0 none, 1 weak, 2 strong.
    let mut classes = vec![0_u8; image.width * image.height];
    for row in 0..h {
        for column in 0..w {
            let (m, dx, dy) = gradient(row, column);
            let (x, y) = (dx.abs(), dy.abs() << 15);
            let ridge = if y < x * 13573 {
                m > length(row, column - 1) && m >= length(row, column + 1)
            } else if y > x * 13573 + (x << 16) {
                m > length(row - 1, column) && m >= length(row + 1, column)
            } else {
                let side = if (dx < 0) == (dy < 0) { 1 } else { -1 };
                m > length(row - 1, column - side) && m > length(row + 1, column + side)
            };
            if ridge && m > low {
                classes[(row * w + column) as usize] = if m > high { 2 } else { 1 };
            }
        }
    }
    // Sweep until nothing changes.
    loop {
        let before = classes.clone();
        for row in 0..h {
            for column in 0..w {
                let touches = (-1..=1).any(|i| {
                    (-1..=1).any(|j| {
                        let (r, c) = (row + i, column + j);
                        let inside = (0..h).contains(&r) && (0..w).contains(&c);
                        inside && before[(r * w + c) as usize] == 2
                    })
                });
                let class = &mut classes[(row * w + column) as usize];
                if *class == 1 && touches {
                    *class = 2;
                }
            }
        }
        if classes == before {
            return classes.iter().map(|&class| if class == 2 { 255 } else { 0 }).collect();
        }
    }
}

/// Widths that straddle vector widths, and the tiny ones.
fn size() -> impl Strategy<Value = (usize, usize)> {
    prop_oneof![
        Just((1, 1)),
        (1_usize..40).prop_map(|n| (1, n)),
        (1_usize..40).prop_map(|n| (n, 1)),
        (1_usize..40, 1_usize..12),
    ]
}

/// Bytes of every kind: noise, few levels (ties) and pure colours.
fn picture() -> impl Strategy<Value = (usize, usize, usize, Vec<u8>)> {
    (size(), 1_usize..=5).prop_flat_map(|((width, height), channels)| {
        let count = width * height * channels;
        let bytes = prop_oneof![
            proptest::collection::vec(any::<u8>(), count),
            proptest::collection::vec(prop_oneof![Just(0_u8), Just(255)], count),
            proptest::collection::vec(0_u8..4, count),
            proptest::collection::vec((0_u8..8).prop_map(|v| v * 30), count),
        ];
        (Just(width), Just(height), Just(channels), bytes)
    })
}

fn threshold() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-1.0),
        Just(100.0),
        Just(1e9),
        (0_i32..300).prop_map(f64::from),
        // Levels that lengths of the coarser pictures hit exactly.
        (0_i32..30).prop_map(|n| f64::from(n * 30)),
        0.0..2100.0_f64,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn equals_the_naive_twin(
        (width, height, channels, data) in picture(),
        low in threshold(),
        high in threshold(),
        squared in any::<bool>(),
    ) {
        let norm = if squared { Norm::L2 } else { Norm::L1 };
        let canny = Canny { low, high, norm, mode: ColourMode::Colour };
        let image = PixelView { data: &data, width, height, channels };
        let edges = canny.detect(image).expect("a valid image");
        prop_assert_eq!(edges.data, naive(image, &canny));
    }

    #[test]
    fn swapped_thresholds_change_nothing(
        (width, height, channels, data) in picture(),
        low in threshold(),
        high in threshold(),
    ) {
        let image = PixelView { data: &data, width, height, channels };
        let one = Canny { low, high, ..Canny::default() }.detect(image).expect("a valid image");
        let other =
            Canny { low: high, high: low, ..Canny::default() }.detect(image).expect("a valid image");
        prop_assert_eq!(one, other);
    }

    #[test]
    fn gray_mode_is_colour_mode_on_gray((width, height, channels, data) in picture()) {
        let image = PixelView { data: &data, width, height, channels };
        let canny = Canny { low: 30.0, high: 90.0, ..Canny::default() };
        let gray = Canny { mode: ColourMode::Gray, ..canny };
        if matches!(channels, 1 | 3 | 4) {
            let plane = to_gray(image).expect("gray of 1, 3 or 4 channels");
            let direct = canny.detect(PixelView { data: &plane, channels: 1, ..image });
            prop_assert_eq!(gray.detect(image), direct);
        } else {
            prop_assert_eq!(gray.detect(image), Err(Error::NoGrayConversion { channels }));
        }
    }
}

#[test]
fn wrong_input_is_an_error() {
    let canny = Canny::default();
    let detect = |data: &[u8], width, height, channels| {
        canny.detect(PixelView { data, width, height, channels })
    };
    assert_eq!(detect(&[], 0, 4, 3), Err(Error::EmptyImage { width: 0, height: 4, channels: 3 }));
    assert_eq!(
        detect(&[1, 2, 3], 2, 1, 3),
        Err(Error::WrongLength { width: 2, height: 1, channels: 3, expected: 6, actual: 3 })
    );
    assert!(matches!(detect(&[], usize::MAX, 2, 3), Err(Error::ImageTooLarge { .. })));
    let image = PixelView { data: &[0], width: 1, height: 1, channels: 1 };
    let error = Canny { high: f64::NAN, ..canny }.detect(image).expect_err("not finite");
    assert!(error.to_string().contains("high threshold is NaN"), "{error}");
}

#[test]
fn gray_weights_round() {
    let gray = |data: &[u8], channels| {
        to_gray(PixelView { data, width: 1, height: 1, channels }).expect("a valid pixel")
    };
    assert_eq!(gray(&[255, 255, 255], 3), [255]);
    assert_eq!(gray(&[255, 0, 0], 3), [76]);
    assert_eq!(gray(&[0, 255, 0, 9], 4), [150]);
    assert_eq!(gray(&[0, 0, 255], 3), [29]);
    assert_eq!(gray(&[7], 1), [7]);
}

#[test]
fn settings_have_a_serde_form() {
    assert_eq!(Canny::default(), Canny { low: 100.0, high: 200.0, ..Canny::default() });
    let entries = [("low", 30.0), ("high", 90.0)];
    let read: Result<Canny, serde::de::value::Error> = serde::Deserialize::deserialize(
        serde::de::value::MapDeserializer::new(entries.into_iter()),
    );
    assert_eq!(read, Ok(Canny { low: 30.0, high: 90.0, ..Canny::default() }));
}

#[test]
fn a_threshold_must_be_exceeded() {
    // A step of 25 gray levels has a gradient of exactly 4 * 25 = 100.
    let rows = [[0, 0, 25, 25]; 3];
    let step = PixelView { data: rows.as_flattened(), width: 4, height: 3, channels: 1 };
    let count = |low: f64, high: f64, norm| {
        let canny = Canny { low, high, norm, mode: ColourMode::Colour };
        canny.detect(step).expect("a valid image").edge_pixels()
    };
    for norm in [Norm::L1, Norm::L2] {
        assert_eq!(count(99.0, 99.0, norm), 3, "{norm:?}: strong");
        assert_eq!(count(99.0, 100.0, norm), 0, "{norm:?}: only weak");
        assert_eq!(count(100.0, 100.0, norm), 0, "{norm:?}: none");
    }
    // The same step beside a steeper one: it counts if it exceeds `low`.
    let rows = [[0, 0, 50, 50], [0, 0, 50, 50], [0, 0, 25, 25], [0, 0, 25, 25], [0, 0, 25, 25]];
    let steps = PixelView { data: rows.as_flattened(), width: 4, height: 5, channels: 1 };
    let edge = |low: f64| {
        let canny = Canny { low, high: 199.0, ..Canny::default() };
        canny.detect(steps).expect("a valid image").is_edge(4, 1)
    };
    assert!(edge(99.0) && !edge(100.0));
}
