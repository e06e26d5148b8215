//! The addresses in the text of a field like To (RFC 5322 §3.4).
//!
//! Knows where each mailbox of a list begins and ends. Every mailbox gives a text, even one that is no
//! address, so that the caller refuses it instead of losing it.

/// The addresses of a list of mailboxes and groups: `Bob <bob@example.net>, "a b"@example.net (A)`.
///
/// Without names, comments and the routes of former times; quotes of a local part stay.
pub(super) fn addresses(list: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut mailbox = Mailbox::default();
    let mut characters = list.chars();
    while let Some(character) = characters.next() {
        match mailbox.within {
            Within::Nothing => match character {
                ',' | ';' => found.extend(std::mem::take(&mut mailbox).address()),
                // The name of a group.
                ':' => mailbox = Mailbox::default(),
                '<' => {
                    mailbox.text.clear();
                    mailbox.within = Within::Brackets;
                }
                '(' => mailbox.within = Within::Comment(1),
                '"' => mailbox.quote(Within::Nothing),
                '[' => mailbox.literal(Within::Nothing),
                _ if mailbox.is_complete => {}
                _ => mailbox.text.push(character),
            },
            Within::Brackets => match character {
                '>' => {
                    mailbox.within = Within::Nothing;
                    mailbox.is_complete = true;
                }
                // The end of a route: <@relay.example:bob@example.net>.
                ':' => mailbox.text.clear(),
                '"' => mailbox.quote(Within::Brackets),
                '[' => mailbox.literal(Within::Brackets),
                _ => mailbox.text.push(character),
            },
            Within::Quotes { in_brackets } | Within::Literal { in_brackets } => {
                mailbox.add(character);
                let is_quoted = matches!(mailbox.within, Within::Quotes { .. });
                match character {
                    '\\' => characters
                        .by_ref()
                        .take(1)
                        .for_each(|next| mailbox.add(next)),
                    '"' if is_quoted => mailbox.leave(in_brackets),
                    ']' if !is_quoted => mailbox.leave(in_brackets),
                    _ => {}
                }
            }
            Within::Comment(depth) => match character {
                '\\' => drop(characters.next()),
                '(' => mailbox.within = Within::Comment(depth + 1),
                ')' if depth == 1 => mailbox.within = Within::Nothing,
                ')' => mailbox.within = Within::Comment(depth - 1),
                _ => {}
            },
        }
    }
    found.extend(mailbox.address());
    found
}

/// What the next character is part of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Within {
    #[default]
    Nothing,
    Brackets,
    Quotes {
        in_brackets: bool,
    },
    Literal {
        in_brackets: bool,
    },
    /// The number of comments that are open.
    Comment(usize),
}

/// A mailbox, as far as it was read.
#[derive(Debug, Default)]
struct Mailbox {
    /// The address, or what may be a name before it.
    text: String,
    within: Within,
    /// The brackets of the address are closed: what follows is not part of it.
    is_complete: bool,
}

impl Mailbox {
    fn quote(&mut self, around: Within) {
        self.add('"');
        let in_brackets = around == Within::Brackets;
        self.within = Within::Quotes { in_brackets };
    }

    fn literal(&mut self, around: Within) {
        self.add('[');
        let in_brackets = around == Within::Brackets;
        self.within = Within::Literal { in_brackets };
    }

    fn leave(&mut self, in_brackets: bool) {
        self.within = if in_brackets {
            Within::Brackets
        } else {
            Within::Nothing
        };
    }

    fn add(&mut self, character: char) {
        if !self.is_complete {
            self.text.push(character);
        }
    }

    /// The address. `None` for an empty element of a list.
    fn address(self) -> Option<String> {
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
            // Not addresses: the caller refuses them.
            ("john doe@e.example", &["john doe@e.example"]),
            ("Bob <bob@b.example", &["bob@b.example"]),
            ("Bob <>", &[""]),
            ("\"open, bob@b.example", &["\"open, bob@b.example"]),
        ] {
            assert_eq!(addresses(list), expected, "{list:?}");
        }
    }
}
