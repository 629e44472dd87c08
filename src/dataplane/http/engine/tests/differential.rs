//! The engine takes heads apart itself. `httparse` is the measure: what it does not read as a head is no head here either,
//! and what both read says the same.

use super::{
    super::{head::HeadEnd, lines::Head, response::status_line, target::request_line},
    *,
};
use proptest::prelude::*;

/// Heads that are good but for a byte here and there.
fn heads(starts: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        "[!-~]{1,12}",
        "[A-Za-z-]{1,10}:[ \t]{0,2}[ -~\t]{0,24}[ \t]{0,2}",
        "(Host|content-length|X_Forwarded-For|Transfer-Encoding):  ?[a-z0-9:.,]{0,20}",
        "[A-Z]{0,2}[ :\t]{0,2}.{0,5}",
    ];
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n\0\t :\x7f\x80/_".to_vec())];
    let spoilt = prop::collection::vec((any::<prop::sample::Index>(), byte, any::<bool>()), 0..3);
    (prop::sample::select(starts), prop::collection::vec(line, 0..6), spoilt).prop_map(|(start, lines, spoilt)| {
        let lines = lines.iter().map(String::as_str);
        let mut head =
            std::iter::once(start).chain(lines).chain(["", ""]).collect::<Vec<_>>().join("\r\n").into_bytes();
        for (place, byte, is_instead) in spoilt {
            let place = place.index(head.len());
            if is_instead { head[place] = byte } else { head.insert(place, byte) }
        }
        head
    })
}

/// A head as it would be looked at: one that ends somewhere, all lines in CR LF.
fn whole(input: &[u8]) -> Option<&[u8]> {
    let length = HeadEnd::default().find(input).ok().flatten()?;
    Some(&input[..length]).filter(|head| !head.starts_with(b"\r\n"))
}

fn fields(parsed: &[httparse::Header<'_>]) -> Vec<(Vec<u8>, Vec<u8>)> {
    parsed.iter().map(|it| (it.name.as_bytes().to_vec(), it.value.trim_ascii().to_vec())).collect()
}

fn own_fields(head: &Head<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    head.fields.lines().iter().map(|line| (line.name.to_vec(), line.value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn requests_are_read_as_by_httparse(
        input in heads(&["GET / HTTP/1.1", "POST /a?b HTTP/1.0", "G*T x HTTP/1.1", "GET / HTTP/1.2", "GET  / HTTP/1.1"]),
    ) {
        let Some(head) = whole(&input) else { return Ok(()) };
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut theirs = httparse::Request::new(&mut lines);
        let is_good = theirs.parse(head).is_ok_and(|status| status.is_complete());
        let ours = Head::split(head);
        let start = ours.as_ref().and_then(|head| request_line(head.start).ok());
        match (start, &ours, is_good) {
            (Some((method, target, version)), Some(ours), true) => {
                prop_assert_eq!((Some(method), Some(target)), (theirs.method, theirs.path));
                prop_assert_eq!(version == Version::Http11, theirs.version == Some(1));
                prop_assert_eq!(own_fields(ours), fields(theirs.headers));
                prop_assert_eq!(ours.length, head.len());
            }
            // What may stand in a target is looked at later, and more strictly.
            (Some((_, target, _)), Some(_), false) => {
                prop_assert!(target.bytes().any(|byte| !byte.is_ascii_graphic()), "{target:?}");
            }
            (None, _, is_good) => prop_assert!(!is_good || !theirs.path.unwrap_or_default().is_ascii()),
            (Some(_), None, _) => unreachable!("there is no first line without a head"),
        }
    }

    #[test]
    fn responses_are_read_as_by_httparse(
        input in heads(&["HTTP/1.1 200 OK", "HTTP/1.0 404", "HTTP/1.1 500 ", "HTTP/1.1 2000 X", "HTTP/1.1 302 \u{e9}"]),
    ) {
        let Some(head) = whole(&input) else { return Ok(()) };
        let mut lines = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut theirs = httparse::Response::new(&mut lines);
        let is_good = theirs.parse(head).is_ok_and(|status| status.is_complete());
        let ours = Head::split(head);
        let start = ours.as_ref().and_then(|head| status_line(head.start));
        prop_assert_eq!(start.is_some(), is_good);
        if let (Some((version, status, reason)), Some(ours)) = (start, ours) {
            prop_assert_eq!((Some(status), Some(reason.unwrap_or_default())), (theirs.code, theirs.reason.map(str::as_bytes)));
            prop_assert_eq!(version == Version::Http11, theirs.version == Some(1));
            prop_assert_eq!(own_fields(&ours), fields(theirs.headers));
        }
    }
}
