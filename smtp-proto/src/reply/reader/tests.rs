use alloc::string::String;

use proptest::prelude::*;

use super::*;

/// Small enough that generated streams reach every limit.
const LIMITS: ReplyLimits = ReplyLimits {
    line: 12,
    lines: 3,
    bytes: 30,
};

/// The replies that were read, and whether the end of the stream cut one off.
#[derive(Debug, PartialEq)]
struct Outcome {
    replies: Vec<(ReplyCode, Vec<u8>)>,
    end: Result<bool, ReplyError>,
}

fn read_all<'a>(limits: &ReplyLimits, segments: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = ReplyReader::new(limits.clone());
    let mut replies = Vec::new();
    for mut segment in segments {
        while !segment.is_empty() {
            match reader.read(&mut segment) {
                Ok(Some(reply)) => replies.push((reply.code(), reply.as_bytes().to_vec())),
                Ok(None) => assert!(segment.is_empty()),
                Err(error) => {
                    assert_eq!(reader.read(&mut &b"250 ok\r\n"[..]), Err(error));
                    return Outcome {
                        replies,
                        end: Err(error),
                    };
                }
            }
            assert!(reader.buffer.capacity() <= limits.bytes.saturating_add(1));
        }
    }
    Outcome {
        replies,
        end: Ok(reader.is_within_reply()),
    }
}

fn end_of(stream: &[u8]) -> Result<bool, ReplyError> {
    read_all(&LIMITS, [stream]).end
}

#[test]
fn a_whole_reply_is_borrowed() {
    let stream = b"250-a\r\n250 b\r\n354\n220 x";
    let mut input = &stream[..];
    let mut reader = ReplyReader::new(ReplyLimits::default());
    let reply = reader.read(&mut input).expect("valid").expect("whole");
    assert_eq!(reply.as_bytes().as_ptr_range(), stream[..14].as_ptr_range());
    let reply = reader.read(&mut input).expect("valid").expect("whole");
    assert_eq!(reply.as_bytes(), b"354\n");
    assert_eq!(reader.buffer.capacity(), 0);
    assert_eq!(reader.read(&mut input), Ok(None));
    assert!(reader.is_within_reply() && input.is_empty());
    reader.reset();
    assert!(!reader.is_within_reply());
}

#[test]
fn nothing_after_a_reply_is_consumed() {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    assert_eq!(reader.read(&mut &b"250-a\r"[..]), Ok(None));
    let mut input = &b"\n250 b\r\nTLS"[..];
    let reply = reader.read(&mut input).expect("valid").expect("whole");
    assert_eq!(reply.as_bytes(), b"250-a\r\n250 b\r\n");
    assert_eq!(input, b"TLS");
    assert!(!reader.is_within_reply());
}

#[test]
fn errors_occur_at_the_octet_at_fault() {
    for (stream, error) in [
        (&b"H"[..], ReplyError::InvalidCode),
        (b"1", ReplyError::InvalidCode),
        (b"6", ReplyError::InvalidCode),
        (b"25\n", ReplyError::InvalidCode),
        (b"\0", ReplyError::InvalidCode),
        (b"2500", ReplyError::InvalidSeparator),
        (b"250\0", ReplyError::InvalidSeparator),
        (b"250\rx", ReplyError::InvalidSeparator),
        (b"250 a\0", ReplyError::Nul),
        (b"250 12345678\n", ReplyError::LineTooLong { limit: 12 }),
        (
            b"250-\n250-\n250-\n2",
            ReplyError::TooManyLines { limit: 3 },
        ),
        (
            b"250-12345\r\n250-12345\r\n250 1234\n",
            ReplyError::TooLong { limit: 30 },
        ),
    ] {
        assert_eq!(end_of(stream), Err(error), "{}", stream.escape_ascii());
        let before = &stream[..stream.len() - 1];
        assert!(end_of(before).is_ok(), "{}", before.escape_ascii());
    }
}

#[test]
fn the_line_at_fault_is_quoted_however_it_is_cut() {
    let long = [b'x'; 300];
    for (stream, quote, whole) in [
        (&b"+OK POP3 ready\r\nmore"[..], &b"+OK POP3 ready"[..], true),
        (b"250-ok\r\n250OK", b"250OK", false),
        (b"\n220 mx\n", b"", true),
        (b"250 \0", b"250 \0", false),
        (&long, &long[..100], true),
    ] {
        for cut in 1..=stream.len() {
            let mut reader = ReplyReader::new(ReplyLimits::default());
            let failed = stream.chunks(cut).filter(|piece| {
                let mut piece = *piece;
                reader.read(&mut piece).is_err()
            });
            assert!(failed.count() > 0);
            assert_eq!(reader.quote(), quote);
            assert_eq!(reader.is_quote_complete(), whole);
        }
    }
}

#[test]
fn lines_agree_in_their_code() {
    let codes = [250, 251].map(|code| ReplyCode::new(code).expect("valid"));
    let expected = ReplyError::CodeMismatch {
        first: codes[0],
        other: codes[1],
    };
    assert_eq!(end_of(b"250-\r\n251"), Err(expected));
    assert_eq!(end_of(b"250-\r\n25"), Ok(true));
    assert_eq!(end_of(b"250-\r\n25x"), Err(ReplyError::InvalidCode));
}

#[test]
fn limits_are_inclusive() {
    assert_eq!(end_of(b"250 1234567\n"), Ok(false));
    assert_eq!(end_of(b"250-\n250-\n250 \n"), Ok(false));
    assert_eq!(end_of(b"250-12345\r\n250-12345\r\n250 123\n"), Ok(false));
}

#[test]
fn a_large_buffer_is_freed() {
    let mut reader = ReplyReader::new(ReplyLimits::default());
    for _ in 0..20 {
        let mut line = [b'x'; 1000];
        line[..4].copy_from_slice(b"250-");
        line[999] = b'\n';
        assert_eq!(reader.read(&mut &line[..]), Ok(None));
    }
    assert!(
        reader
            .read(&mut &b"250 end\n"[..])
            .expect("valid")
            .is_some()
    );
    assert!(reader.buffer.capacity() > KEPT_CAPACITY);
    assert_eq!(reader.read(&mut &b"2"[..]), Ok(None));
    assert!(reader.buffer.capacity() <= KEPT_CAPACITY);
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => Just(b"250-".to_vec()),
        2 => Just(b"250 ".to_vec()),
        1 => "(251|550|3|25|999)[- ]?".prop_map(String::into_bytes),
        5 => Just(b"\r\n".to_vec()),
        1 => Just(b"\n".to_vec()),
        1 => Just(b"\r".to_vec()),
        1 => Just(b"\0".to_vec()),
        3 => "[a-z ]{0,9}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

fn limits() -> impl Strategy<Value = ReplyLimits> {
    prop_oneof![
        Just(LIMITS),
        Just(ReplyLimits::default()),
        (0_usize..14, 0_usize..4, 0_usize..30).prop_map(|(line, lines, bytes)| ReplyLimits {
            line,
            lines,
            bytes
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn cuts_do_not_change_the_result(
        fragments in prop::collection::vec(fragment(), 0..14),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        limits in limits(),
    ) {
        let stream = fragments.concat();
        let whole = read_all(&limits, [&stream[..]]);
        prop_assert_eq!(&whole, &read_all(&limits, stream.chunks(1)));

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.sort_unstable();
        let starts = core::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([stream.len()]);
        let segments = starts.zip(ends).map(|(start, end)| &stream[start..end]);
        prop_assert_eq!(&whole, &read_all(&limits, segments));
    }
}
