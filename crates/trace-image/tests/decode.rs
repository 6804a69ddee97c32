//! Matrix to image to matrix, clean and damaged.

mod common;

use std::sync::Arc;

use common::{noise, packets, rng};
use nprint_codec::{Cell, Header, Layout, TernaryMatrix};
use proptest::prelude::*;
use rand::Rng;
use trace_image::{Canvas, Description, Error, Palette, Rgb, TraceImage, decode_tolerant, render};

/// Nearest colour and confidence by the definition.
fn naive(pixel: Rgb, palette: &Palette) -> (Cell, u8) {
    let kinds = [
        (Cell::Vacant, palette.vacant()),
        (Cell::Zero, palette.zero()),
        (Cell::One, palette.one()),
    ];
    let squared = |a: Rgb, b: Rgb| {
        a.iter().zip(b).map(|(&a, b)| (i64::from(a) - i64::from(b)).pow(2)).sum::<i64>()
    };
    let mut near: Vec<_> = kinds.iter().map(|(k, c)| (squared(pixel, *c), *k, *c)).collect();
    near.sort_by_key(|(distance, ..)| *distance); // stable: ties keep the order
    let ((d1, kind, colour), (d2, _, second)) = (near[0], near[1]);
    let share = 255.0 * (d2 - d1) as f64 / squared(colour, second) as f64;
    (kind, if d1 == 0 { 255 } else { share.floor().min(254.0) as u8 })
}

fn palette() -> impl Strategy<Value = Palette> {
    prop_oneof![
        Just(Palette::TORCHLIGHT),
        Just(Palette::NETDIFFUSION),
        any::<[Rgb; 3]>().prop_filter_map("three colours", |[a, b, c]| Palette::new(a, b, c).ok()),
    ]
}

fn layout() -> impl Strategy<Value = Arc<Layout>> {
    prop_oneof![
        Just(Layout::reference()),
        Just(Arc::new(Layout::of_headers(&Header::ALL))),
        Just(Arc::new(Layout::of_headers(&[Header::Ipv6, Header::Udp]))),
        Just(Arc::new(Layout::of_headers(&[Header::Icmp]))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_matrix_comes_back_through_a_png(
        layout in layout(),
        palette in palette(),
        (rows, spare_rows, spare_columns) in (0_usize..6, 0_usize..3, 0_usize..70),
        seed in any::<u64>(),
    ) {
        let matrix = noise(&layout, rows, &mut rng(seed));
        let canvas = Canvas {
            rows: (rows + spare_rows).max(1),
            columns: layout.columns() + spare_columns,
        };
        let image = render(&matrix, &palette, &canvas).expect("it fits");
        let png = image.to_png().expect("a PNG");
        prop_assert_eq!(&png, &image.to_png().expect("a PNG"));
        let read = TraceImage::from_png(&png).expect("our own PNG");
        prop_assert_eq!(&read, &image);
        let (soft, report) =
            decode_tolerant(&read, read.description().expect("described")).expect("its own size");
        prop_assert_eq!(soft.cells(), &matrix);
        prop_assert!(soft.confidence().iter().all(|&c| c == 255));
        prop_assert_eq!(report.packet_rows, rows);
        prop_assert_eq!(report.rows, canvas.rows);
        prop_assert!(report.ambiguous_share <= 0.0 && report.mean_confidence >= 255.0);
        let cells = report.cells;
        prop_assert_eq!(cells.one + cells.zero + cells.vacant, canvas.rows * layout.columns());
    }

    #[test]
    fn any_pixel_decodes_as_the_naive_twin(
        palette in palette(),
        pixels in prop::collection::vec(any::<Rgb>(), 64 * 3),
        exact in prop::collection::vec(0_usize..3, 0..20),
    ) {
        let layout = Arc::new(Layout::of_headers(&[Header::Icmp]));
        let mut pixels = pixels;
        for (pixel, kind) in pixels.iter_mut().zip(exact) {
            *pixel = [palette.vacant(), palette.zero(), palette.one()][kind];
        }
        let canvas = Canvas { rows: 3, columns: 64 };
        let description = Description { palette, canvas, layout, packet_rows: Some(3) };
        let image = TraceImage::from_rgb(canvas, pixels.as_flattened().to_vec()).expect("fits");
        let (soft, _) = decode_tolerant(&image, &description).expect("its own size");
        for (i, pixel) in pixels.iter().enumerate() {
            let (kind, confidence) = naive(*pixel, &palette);
            prop_assert_eq!(soft.cells().row(i >> 6).cell(i & 63), kind, "{:?}", pixel);
            prop_assert_eq!(soft.confidence()[i], confidence, "{:?}", pixel);
        }
    }

    #[test]
    fn confidence_grows_with_the_evidence(
        base in any::<Rgb>(),
        palette in prop_oneof![Just(Palette::TORCHLIGHT), Just(Palette::NETDIFFUSION)],
    ) {
        // From any pixel on the straight way to green, a cell that has become green stays so
        // and its confidence never falls.
        let layout = Arc::new(Layout::of_headers(&[Header::Icmp]));
        let canvas = Canvas { rows: 1, columns: 64 };
        let description = Description { palette, canvas, layout, packet_rows: Some(1) };
        let pixels: Vec<u8> = (0..64_u32)
            .flat_map(|step| {
                let mix = |from: u8, to: u32| ((u32::from(from) * (63 - step) + to * step).div_euclid(63)) as u8;
                [mix(base[0], 0), mix(base[1], 255), mix(base[2], 0)]
            })
            .collect();
        let image = TraceImage::from_rgb(canvas, pixels).expect("fits");
        let (soft, _) = decode_tolerant(&image, &description).expect("its own size");
        let green = if palette == Palette::TORCHLIGHT { Cell::One } else { Cell::Zero };
        let first = (0..64).find(|&i| soft.cells().row(0).cell(i) == green).expect("the last is");
        prop_assert!((first..64).all(|i| soft.cells().row(0).cell(i) == green));
        // Rounding of the mixed channels moves the margin by at most one level.
        prop_assert!(soft.confidence()[first..].windows(2).all(|w| w[0] <= w[1].saturating_add(1)));
        prop_assert_eq!(soft.confidence()[63], 255);
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(TraceImage::from_png(&bytes).is_err());
    }

    #[test]
    fn damaged_pngs_do_not_panic(
        seed in any::<u64>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let matrix = packets(4, &mut rng(seed));
        let image = render(&matrix, &Palette::default(), &Canvas { rows: 5, columns: 1088 });
        let mut png = image.expect("it fits").to_png().expect("a PNG");
        for (place, byte) in &places {
            let place = place.index(png.len());
            png[place] = *byte;
        }
        if let Ok(image) = TraceImage::from_png(&png)
            && let Ok(description) = image.description()
        {
            decode_tolerant(&image, description).expect("a description that was checked");
        }
        png.truncate(cut.index(png.len()));
        TraceImage::from_png(&png).ok();
    }
}

/// Adds Gaussian noise to every channel, rounded and clipped to bytes.
fn add_noise(image: &TraceImage, sigma: f64, rng: &mut impl Rng) -> TraceImage {
    let pixels = image
        .pixels()
        .iter()
        .map(|&byte| {
            // Box and Muller.
            let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
            let gauss = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
            (f64::from(byte) + sigma * gauss).round().clamp(0.0, 255.0) as u8
        })
        .collect();
    TraceImage::from_rgb(image.size(), pixels).expect("the same size")
}

#[test]
fn strong_noise_leaves_few_wrong_cells() {
    let mut rng = rng(7);
    for palette in [Palette::TORCHLIGHT, Palette::NETDIFFUSION] {
        let matrix = packets(200, &mut rng);
        let canvas = Canvas { rows: 256, columns: 1088 };
        let image = render(&matrix, &palette, &canvas).expect("it fits");
        let noisy = add_noise(&image, 70.0, &mut rng);
        let description = Description { palette, canvas, ..Description::default() };
        let (soft, report) = decode_tolerant(&noisy, &description).expect("its own size");
        assert_eq!(report.packet_rows, 200, "padding is told from packets");
        assert_eq!(report.vacant_rows, 56);
        let (mut wrong, mut sum_wrong, mut sum_right) = (0_usize, 0.0, 0.0);
        for row in 0..200 {
            for column in 0..1088 {
                let sure = f64::from(soft.row_confidence(row)[column]);
                if soft.cells().row(row).cell(column) == matrix.row(row).cell(column) {
                    sum_right += sure;
                } else {
                    wrong += 1;
                    sum_wrong += sure;
                }
            }
        }
        let share = wrong as f64 / (200.0 * 1088.0);
        assert!((0.005..0.012).contains(&share), "{share}");
        let (mean_wrong, mean_right) =
            (sum_wrong / wrong as f64, sum_right / (200.0 * 1088.0 - wrong as f64));
        assert!(mean_right > 4.0 * mean_wrong, "{mean_right} {mean_wrong}");
        assert!((0.0..0.3).contains(&report.ambiguous_share), "{report:?}");
    }
}

#[test]
fn every_kind_of_packet_ends_the_padding() {
    // The shortest rows: one header alone, after vacant rows.
    let layout = Layout::reference();
    for header in Header::ALL {
        let mut matrix = TernaryMatrix::vacant(layout.clone(), 3);
        matrix.push_vacant().set_header(header, &[0; 20]);
        let canvas = Canvas { rows: 10, columns: 1100 };
        let image = render(&matrix, &Palette::default(), &canvas).expect("it fits");
        let description = Description { canvas, ..Description::default() };
        let (soft, report) = decode_tolerant(&image, &description).expect("its own size");
        assert_eq!((report.packet_rows, report.vacant_rows), (4, 9), "{}", header.name());
        assert_eq!(soft.cells(), &matrix);
    }
    let image = render(&TernaryMatrix::new(layout), &Palette::default(), &Canvas::default());
    let (soft, report) =
        decode_tolerant(&image.expect("it fits"), &Description::default()).expect("its own size");
    assert_eq!((report.packet_rows, soft.cells().rows()), (0, 0));
}

#[test]
fn long_matrices_are_cut_and_wide_ones_refused() {
    let matrix = packets(9, &mut rng(1));
    let canvas = Canvas { rows: 4, columns: 1088 };
    let image = render(&matrix, &Palette::default(), &canvas).expect("it fits");
    assert_eq!(image.description().expect("described").packet_rows, Some(4));
    let (soft, _) = decode_tolerant(&image, image.description().expect("described")).expect("ok");
    let mut first = matrix.clone();
    first.truncate(4);
    assert_eq!(soft.cells(), &first);

    let narrow = render(&matrix, &Palette::default(), &Canvas { rows: 4, columns: 1087 });
    assert!(matches!(narrow, Err(Error::CanvasTooNarrow { layout_columns: 1088, .. })));
    for canvas in [
        Canvas { rows: 0, columns: 1088 },
        Canvas { rows: usize::MAX, columns: 1088 },
        Canvas { rows: 1 << 20, columns: 1088 },
    ] {
        let image = render(&matrix, &Palette::default(), &canvas);
        assert!(matches!(image, Err(Error::CanvasSize { .. })), "{canvas}");
    }
}

#[test]
fn a_resized_image_names_both_sizes() {
    let size = Canvas { rows: 512, columns: 512 };
    let image = TraceImage::from_rgb(size, vec![0; 512 * 512 * 3]).expect("fits");
    assert!(matches!(image.description(), Err(Error::Undescribed)));
    let error = decode_tolerant(&image, &Description::default()).expect_err("resized").to_string();
    assert!(error.contains("512 rows x 512 columns"), "{error}");
    assert!(error.contains("1024 rows x 1088 columns"), "{error}");
    let short = TraceImage::from_rgb(size, vec![0; 9]);
    assert!(matches!(short, Err(Error::PixelBytes { expected: 786_432, found: 9, .. })));
}
