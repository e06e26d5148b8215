//! The reply reader.

use postwire_proto::{Reply, ReplyError, ReplyLimits, ReplyReader};

use crate::input::Input;

/// The reader with any bytes, cut anywhere.
pub fn reply(octets: &[u8]) {
    let mut input = Input::new(octets);
    let limits = ReplyLimits::default()
        .line(input.one_of([2_048, 5, 6, 40]))
        .lines(input.one_of([256, 1, 2, 3]))
        .bytes(input.one_of([65_536, 6, 30, 90]));
    let cut = usize::from(input.octet()) % 16 + 1;
    let stream = input.rest();

    let whole = read(&limits, stream, stream.len().max(1));
    assert_eq!(whole, read(&limits, stream, 1), "cut at every octet");
    assert_eq!(
        whole,
        read(&limits, stream, cut),
        "cut into pieces of {cut}"
    );

    for reply in &whole.replies {
        check(&limits, reply);
    }
    if whole.error.is_none() && whole.replies.len() == 1 && !whole.midway {
        rebuild(&whole.replies[0]);
    }
}

/// The result of reading a stream.
#[derive(Debug, PartialEq)]
struct Read {
    replies: Vec<Reply>,
    error: Option<ReplyError>,
    midway: bool,
}

fn read(limits: &ReplyLimits, stream: &[u8], cut: usize) -> Read {
    let mut reader = ReplyReader::new(limits.clone());
    let mut replies = Vec::new();
    for mut piece in stream.chunks(cut) {
        loop {
            let before = piece.len();
            match reader.read(&mut piece) {
                Ok(Some(reply)) => {
                    assert!(piece.len() < before, "a reply out of nothing");
                    replies.push(reply.to_owned());
                }
                Ok(None) => {
                    assert!(piece.is_empty(), "octets were left");
                    break;
                }
                Err(error) => {
                    let again = reader.read(&mut &b"250 ok\r\n"[..]);
                    assert_eq!(again, Err(error), "a failed reader went on");
                    return Read {
                        replies,
                        error: Some(error),
                        midway: false,
                    };
                }
            }
        }
    }
    Read {
        midway: reader.is_within_reply(),
        replies,
        error: None,
    }
}

fn check(limits: &ReplyLimits, reply: &Reply) {
    let raw = reply.as_bytes();
    let code = reply.code().get();
    assert!((200..=599).contains(&code));
    assert!(raw.len() <= limits.bytes && !raw.contains(&0));
    let lines = reply.raw_lines().count();
    assert!((1..=limits.lines).contains(&lines));
    assert_eq!(lines, reply.text_lines().count());
    let wire_lines = || raw.split_inclusive(|octet| *octet == b'\n');
    assert!(wire_lines().all(|line| line.len() <= limits.line));
    let digits = code.to_string();
    let first = raw.get(..3).unwrap_or_default();
    if first == digits.as_bytes() {
        assert!(wire_lines().all(|line| line.starts_with(first)));
    } else {
        // If lines disagree, the first refusal after the first line's code counts.
        let other = wire_lines().find(|line| !line.starts_with(first));
        assert!(code >= 400 && other.is_some_and(|line| line.starts_with(digits.as_bytes())));
    }
    if let Some(enhanced) = reply.enhanced() {
        assert_eq!(u16::from(enhanced.class()), code / 100);
        assert!(reply.to_string().contains(&enhanced.to_string()));
    }
    let shown = format!("{reply} {reply:?}");
    assert!(
        !shown.contains(|character: char| character.is_control()),
        "{shown:?}"
    );
}

/// A reply that is built from the text of another is read back unchanged.
fn rebuild(reply: &Reply) {
    let text: Result<Vec<&str>, _> = reply.text_lines().map(core::str::from_utf8).collect();
    let Ok(text) = text else {
        return;
    };
    let built = Reply::new(reply.code(), reply.enhanced(), &text);
    let limits = ReplyLimits::default()
        .line(usize::MAX)
        .lines(usize::MAX)
        .bytes(usize::MAX);
    let read = read(&limits, built.as_bytes(), usize::MAX);
    assert_eq!(read.replies, [built]);
}
