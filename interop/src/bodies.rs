//! Messages that are hard to transfer unchanged.

/// A message with its name in the table.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) octets: Vec<u8>,
}

/// One of each kind.
pub(crate) fn samples() -> Vec<Sample> {
    let sample = |name, octets: &[u8]| Sample {
        name,
        octets: octets.to_vec(),
    };
    vec![
        sample("empty", b""),
        sample("one line end", b"\r\n"),
        sample("only dots", b".\r\n..\r\n...\r\n.\r\n"),
        sample("a lone dot, no line end", b"."),
        sample(
            "lines of dots",
            b"Subject: dots\r\n\r\n.\r\n..\r\n.hidden\r\na.b\r\n.\r\n\r\n.\r\n",
        ),
        sample(
            "a smuggler's end of data",
            b"Subject: end\r\n\r\nbefore\n.\nMAIL FROM:<mallory@example.org>\r\n.\r\nafter\n.\r\n",
        ),
        sample("no final line end", b"Subject: end\r\n\r\nthe last line"),
        sample(
            "no final line end, a dot",
            b"Subject: end\r\n\r\nthe last line\r\n.",
        ),
        sample("LF line ends", b"Subject: lf\n\none\n.two\n\nthree\n"),
        sample("mixed line ends", b"Subject: mixed\n\r\none\rtwo\n\r\rthree\r\n"),
        sample(
            "8-bit",
            b"Subject: 8-bit\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\r\nGr\xfc\xdfe \xff\x80\r\n",
        ),
        sample(
            "UTF-8 in the header",
            "Subject: Grüße aus 東京\r\n\r\nÄpfel\r\n".as_bytes(),
        ),
        Sample {
            name: "a line of 100,000 octets",
            octets: long_line(),
        },
        Sample {
            name: "10 MiB",
            octets: large(10 << 20),
        },
    ]
}

/// The content that the server must have stored, with the line ends of its disk.
///
/// The last line has a line end, which DATA needs (RFC 5321 §4.1.1.4).
pub(crate) fn stored_form(octets: &[u8]) -> Vec<u8> {
    let mut stored = chunked_form(octets);
    if !stored.is_empty() && !stored.ends_with(b"\n") {
        stored.push(b'\n');
    }
    stored
}

/// The content that the server must have stored after BDAT, which needs no final line end: each
/// CRLF, lone CR or lone LF is one line end, and there are no others.
pub(crate) fn chunked_form(octets: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(octets.len() + 1);
    let mut rest = octets.iter().peekable();
    while let Some(octet) = rest.next() {
        match octet {
            b'\r' => {
                rest.next_if(|next| **next == b'\n');
                stored.push(b'\n');
            }
            octet => stored.push(*octet),
        }
    }
    stored
}

/// A message of about `octets` octets that compresses badly, with a dot at the start of a third
/// of its lines.
pub(crate) fn large(octets: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+.";
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    message.reserve(octets);
    let mut state: u32 = 1;
    while message.len() < octets {
        for column in 0..76 {
            // xorshift32: any stream that does not repeat soon is suitable.
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            let octet = match column {
                0 if state.is_multiple_of(3) => b'.',
                _ => ALPHABET[(state >> 26) as usize],
            };
            message.push(octet);
        }
        message.extend_from_slice(b"\r\n");
    }
    message
}

/// A body of several KiB: lines of the maximum length (RFC 5321 §4.5.3.1.6), and dots at the
/// start of lines.
pub(crate) fn lines_and_dots() -> Vec<u8> {
    let mut body = Vec::new();
    for length in [998, 997, 996, 1, 2, 3, 76, 998, 500, 996, 997, 998] {
        body.resize(body.len() + length, b'.');
        body.extend_from_slice(b"\r\n");
        body.resize(body.len() + length, b'x');
        body.extend_from_slice(b"\r\n\r\n");
    }
    body
}

fn long_line() -> Vec<u8> {
    let mut message = b"Subject: long\r\n\r\n".to_vec();
    message.resize(message.len() + 100_000, b'.');
    message.extend_from_slice(b"\r\n");
    message
}
