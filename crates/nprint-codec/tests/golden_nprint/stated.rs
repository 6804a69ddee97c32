//! What this crate does about each quirk (Q) and bug (B) that the manifest names.

use crate::manifest::every_case;

const STATED: [(&str, &str); 22] = [
    ("Q-SKIP", "the same rows by default; `RowPolicy::Through` gives the others"),
    ("Q-FRAG", "the same by default; vacant with `Layer::Fragments`"),
    ("Q-COUNT", "the same"),
    ("Q-SNIFF", "the link type is believed, not bytes 12 and 13"),
    ("Q-LINK", "SLL2, NULL, LOOP and PPP are read"),
    (
        "Q-STOP",
        "what came before damage is kept, and the damage is an error; another snap length is none",
    ),
    ("Q-RTS", "time differences are printed as they are, -1 too"),
    ("Q-2038", "seconds are unsigned in the file, so they are not negative"),
    ("Q-JOIN", "commas stand between cells, however few there are"),
    ("Q-RADIO", "the radiotap header has the length that it states"),
    ("Q-HEX", "a bad line is an error of its own, and the run goes on"),
    ("Q-REV", "columns are known by name: times are no bits"),
    ("B-V6PAY", "the payload of IPv6 TCP begins behind its header"),
    ("B-CAPLEN", "bytes that were not captured are vacant"),
    ("B-NEGPAY", "an IP length below the headers is a payload of 0 bytes"),
    ("B-WLAN", "802.11 columns hold 802.11 bits, and later columns do not shift"),
    ("B-RTPAY", "a radiotap frame has vacant payload"),
    ("B-VERB", "`-V` prints nothing into the CSV"),
    ("B-REVTAIL", "bytes without columns are 0, not memory"),
    ("B-REVTS", "times are the CSV's, or 0"),
    ("B-REVE6", "IPv6 behind Ethernet has its whole length"),
    ("B-REVV6", "nothing is printed"),
];

pub fn is_stated(code: &str) -> bool {
    STATED.iter().any(|(stated, _)| *stated == code)
}

/// Every line of the manifest is run by a test, and every code in it is stated above. A bug without
/// a code names the rows and columns it is in.
#[test]
fn golden_manifest_is_covered() {
    const RUN: [(&str, &[&str]); 3] = [
        ("fwd", &["match", "quirk", "bug", "crash"]),
        ("hex", &["match", "quirk", "bug"]),
        ("rev", &["match", "quirk", "bug"]),
    ];
    for case in every_case() {
        let (id, kind, status) = (case.text("id"), case.text("kind"), case.text("status"));
        let run = RUN.iter().any(|(k, statuses)| *k == kind && statuses.contains(&status));
        assert!(run, "{id}: no test runs {kind} {status}");
        let codes = case.codes();
        let unknown: Vec<_> = codes.iter().filter(|code| !is_stated(code)).collect();
        assert!(unknown.is_empty(), "{id}: nothing is stated on {unknown:?}");
        let marked = !codes.is_empty() || !case.text("bad_rows").is_empty();
        assert!(status == "match" || marked, "{id}: {status} of what?");
    }
}
