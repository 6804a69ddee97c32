//! The C++ tool's command line.

use std::fs;

use torchlight::nprint_codec::read_capture;

use super::{capture, code, text, torchlight};

#[test]
fn nprint_takes_the_flags_of_the_tool() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = capture(folder.path(), "a.pcap");
    let nprint = |words: &str| {
        let words: Vec<&str> = std::iter::once("nprint").chain(words.split(' ')).collect();
        torchlight(folder.path(), &words)
    };
    let all = nprint("-P a.pcap -u -S");
    assert_eq!((code(&all), text(&all.stdout).lines().count()), (0, 21));
    assert!(text(&all.stderr).contains("  UDP:                       20 (100.00%)"));
    let none = nprint("-P a.pcap -u -f tcp -x (?!udp_len).*");
    assert_eq!(text(&none.stdout).split(',').count(), 17);
    assert_eq!(text(&none.stdout).lines().count(), 1);
    let wrong = nprint("-P a.pcap -f prot");
    assert_eq!(code(&wrong), 2);
    assert!(text(&wrong.stderr).contains("column 1"), "{}", text(&wrong.stderr));
    assert_eq!(code(&nprint("-P a.pcap -N x.npt -W y")), 2);
    assert_eq!(code(&nprint("-N x.npt")), 2);
    assert_eq!(code(&nprint("-P none.pcap -4")), 3);
    let live = nprint("-d eth0");
    assert!(text(&live.stderr).contains("live capture is not built in"));
    assert!(text(&nprint("-h").stdout).contains("wlan_rx_addr_0 .. wlan_rx_addr_47\n"));

    // Damage: what came before is written, and said.
    let bytes = fs::read(&path).expect("readable");
    fs::write(folder.path().join("cut.pcap"), &bytes[..bytes.len() - 5]).expect("written");
    let cut = nprint("-P cut.pcap -u");
    assert_eq!((code(&cut), text(&cut.stdout).lines().count()), (1, 20));
    assert!(text(&cut.stderr).contains("cut.pcap, packet 20, byte "), "{}", text(&cut.stderr));

    // Hexadecimal digits, and there and back.
    let hex = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    let digits: String = bytes[40..100].iter().flat_map(hex).flatten().collect();
    fs::write(folder.path().join("a.csv"), format!("a,b,c\n1,2,{digits}\n3,4,xx\n"))
        .expect("written");
    let hex = nprint("-C a.csv -4 -u");
    assert_eq!((code(&hex), text(&hex.stdout).lines().count()), (1, 2));
    assert!(text(&hex.stderr).contains("a.csv, line 3: 'x'"), "{}", text(&hex.stderr));
    assert_eq!(code(&nprint("-P a.pcap -4 -u -p 40 -A -W rows.npt")), 0);
    assert_eq!(code(&nprint("-N rows.npt -W back.pcapng")), 0);
    let back = read_capture(folder.path().join("back.pcapng")).expect("a capture");
    assert_eq!(back, read_capture(&path).expect("a capture"));
}
