//! The addresses in the text of a field like To (RFC 5322 §3.4).
//!
//! Knows where each mailbox of a list begins and ends. Every mailbox gives a text, even one that is no
//! address, so that the caller refuses it instead of losing it.

/// The addresses of a list of mailboxes and groups: `Bob <bob@example.net>, "a b"@example.net (A)`.
///
/// Without names, comments and obsolete routes; quotes of a local part stay. An element that is not
/// valid is returned as it is written.
pub(super) fn addresses(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = list;
    while !rest.is_empty() {
        let mut element = Element::default();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next() {
                Some((at, ',' | ';')) if element.may_end() => break at,
                Some((_, character)) => {
                    let quoted = (character == '\\' && element.within.is_some())
                        .then(|| characters.next())
                        .flatten();
                    element.add(character, quoted.map(|(_, quoted)| quoted));
                }
                None => break rest.len(),
            }
        };
        found.extend(element.address(&rest[..end]));
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    found
}

/// What the next character is part of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Within {
    Quotes,
    Literal,
    /// The number of comments that are open.
    Comment(usize),
}

/// An element of a list, as far as it was read.
#[derive(Debug, Default)]
struct Element {
    /// The address, or what may be a name before it.
    text: String,
    within: Option<Within>,
    in_brackets: bool,
    /// The brackets of the address are closed: only comments may follow.
    is_complete: bool,
    is_invalid: bool,
}

impl Element {
    /// Whether a comma or a semicolon ends the element here.
    fn may_end(&self) -> bool {
        self.within.is_none() && !self.in_brackets
    }

    /// Takes the next character, with the one that a backslash quotes.
    fn add(&mut self, character: char, quoted: Option<char>) {
        match (self.within, character) {
            (Some(Within::Comment(depth)), '(') => self.within = Some(Within::Comment(depth + 1)),
            (Some(Within::Comment(1)), ')') => {
                self.within = None;
                self.add(' ', None);
            }
            (Some(Within::Comment(depth)), ')') => self.within = Some(Within::Comment(depth - 1)),
            (Some(Within::Comment(_)), _) => {}
            (Some(Within::Quotes), '"') | (Some(Within::Literal), ']') => {
                self.push(character);
                self.within = None;
            }
            (Some(Within::Quotes | Within::Literal), _) => {
                self.push(character);
                if let Some(quoted) = quoted {
                    self.push(quoted);
                }
            }
            (None, '(') => self.within = Some(Within::Comment(1)),
            (None, '"') => {
                self.push(character);
                self.within = Some(Within::Quotes);
            }
            (None, '[') => {
                self.push(character);
                self.within = Some(Within::Literal);
            }
            (None, '<') if !self.in_brackets => {
                self.is_invalid |= self.is_complete;
                self.text.clear();
                self.in_brackets = true;
            }
            (None, '>') if self.in_brackets => {
                self.in_brackets = false;
                self.is_complete = true;
            }
            // The end of a route, <@relay.example:bob@example.net>, or of the name of a group.
            (None, ':') => {
                let is_route = self.text.trim_start().starts_with('@');
                let is_name = !self.text.contains('@') && !self.is_complete;
                self.is_invalid |= if self.in_brackets {
                    !is_route
                } else {
                    !is_name
                };
                self.text.clear();
            }
            // White space beside a dot or the `@` is not part of the address.
            (None, ' ' | '\t' | '\r' | '\n') if self.text.ends_with(['.', '@']) => {}
            (None, '.' | '@') => {
                self.text.truncate(self.text.trim_end().len());
                self.push(character);
            }
            (None, _) => self.push(character),
        }
    }

    fn push(&mut self, character: char) {
        if self.is_complete {
            self.is_invalid |= !character.is_whitespace();
        } else {
            self.text.push(character);
        }
    }

    /// The address, or the whole element if it is not valid. `None` for an empty element.
    fn address(self, written: &str) -> Option<String> {
        if self.is_invalid || !self.may_end() {
            return Some(written.trim().to_owned());
        }
        let text = self.text.trim();
        (!text.is_empty() || self.is_complete).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::addresses;

    #[test]
    fn every_mailbox_gives_its_address() {
        for (list, expected) in [
            ("bob@b.example", &["bob@b.example"][..]),
            (
                " Bob <bob@b.example>,\r\n carol@c.example (Carol)",
                &["bob@b.example", "carol@c.example"],
            ),
            (
                "\"B, ob\" <bob@b.example>, root",
                &["bob@b.example", "root"],
            ),
            (
                "friends: d@d.example, E <e@e.example>;, f@f.example",
                &["d@d.example", "e@e.example", "f@f.example"],
            ),
            ("undisclosed-recipients:;", &[]),
            (",, ,", &[]),
            ("", &[]),
            (
                "J <\"john doe\"@b.example>, \"a@b, c\"@c.example",
                &["\"john doe\"@b.example", "\"a@b, c\"@c.example"],
            ),
            (
                "\"q\\\"q\"@d.example, <\"<\\\\>\"@e.example>",
                &["\"q\\\"q\"@d.example", "\"<\\\\>\"@e.example"],
            ),
            (
                "bob@[IPv6:2001:db8::1], <c@[192.0.2.1]>",
                &["bob@[IPv6:2001:db8::1]", "c@[192.0.2.1]"],
            ),
            (
                "<@relay.example,@other.example:bob@b.example>",
                &["bob@b.example"],
            ),
            (
                "(a (nested, \\) comment)) bob@b.example (x), c@c.example",
                &["bob@b.example", "c@c.example"],
            ),
            ("=?utf-8?q?J=C3=B6rg?= <j@j.example>", &["j@j.example"]),
            // Examples of RFC 5322, A.5 and A.6.3.
            (
                "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
                &["pete@silly.test"],
            ),
            (
                "Joe Q. Public <john.q.public@example.com>, jdoe@test  . example",
                &["john.q.public@example.com", "jdoe@test.example"],
            ),
            ("<bob@b.example (a:carol>b)>", &["bob@b.example"]),
            // Not addresses: the caller refuses them.
            ("john doe@e.example", &["john doe@e.example"]),
            (
                "a@a.example (A, b@b.example, c@c.example",
                &["a@a.example (A, b@b.example, c@c.example"],
            ),
            (
                "Bob <bob@b.example> Carol <carol@c.example>",
                &["Bob <bob@b.example> Carol <carol@c.example>"],
            ),
            (
                "Bob <bob@b.example> carol@c.example",
                &["Bob <bob@b.example> carol@c.example"],
            ),
            ("bob(x)carol@d.example", &["bob carol@d.example"]),
            (
                "bob@b.example: carol@c.example",
                &["bob@b.example: carol@c.example"],
            ),
            (
                "<bob@b.example:carol@c.example>",
                &["<bob@b.example:carol@c.example>"],
            ),
            ("Bob <bob@b.example", &["Bob <bob@b.example"]),
            ("Bob <>", &[""]),
            ("\"open, bob@b.example", &["\"open, bob@b.example"]),
        ] {
            assert_eq!(addresses(list), expected, "{list:?}");
        }
    }
}
