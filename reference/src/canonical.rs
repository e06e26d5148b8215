//! The canonical form of a content: two contents are the same for the judge if their
//! canonical forms are equal.

/// The canonical form of `content`: each line ends with one LF.
///
/// CRLF, a lone LF, a lone CR, and a run of CRs before an LF are each one line end. A
/// missing line end at the end is added, because `DATA` cannot do without it; an empty
/// content becomes one empty line.
pub fn canonical(content: &[u8]) -> Vec<u8> {
    let mut form = Vec::with_capacity(content.len() + 1);
    let mut rest = content;
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'\r' {
            form.push(*first);
            continue;
        }
        let more = rest.iter().take_while(|octet| **octet == b'\r').count();
        if rest.get(more) == Some(&b'\n') {
            // The run goes with its LF.
            rest = &rest[more + 1..];
        }
        form.push(b'\n');
    }
    if form.last() != Some(&b'\n') {
        form.push(b'\n');
    }
    form
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn each_line_end_becomes_one() {
        for (content, form) in [
            (&b"a\r\nb\r\n"[..], &b"a\nb\n"[..]),
            (b"a\nb", b"a\nb\n"),
            (b"a\rb\r", b"a\nb\n"),
            (b"a\r\r\r\nb", b"a\nb\n"),
            (b"a\r\rb", b"a\n\nb\n"),
            (b"a\n\r\nb\n\n", b"a\n\nb\n\n"),
            (b"", b"\n"),
            (b"\r\n", b"\n"),
            (b"\r", b"\n"),
        ] {
            assert_eq!(canonical(content), form, "{}", content.escape_ascii());
        }
    }
}
