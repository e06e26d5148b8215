//! Whether two addresses name the same mailbox, in whatever form each is written.
//!
//! Knows which differences never matter. Must never know what a server makes of a local part:
//! its case and its extensions are the server's own affair (RFC 5321 §2.4).

use alloc::borrow::Cow;
use alloc::string::String;

use super::a_labels::domain_in_a_labels;
use crate::Address;

impl Address {
    /// Whether both addresses name the same mailbox: the domains are equal without regard to case
    /// and in A-labels, and the local parts are equal without unnecessary quotes.
    ///
    /// Local parts are case-sensitive (RFC 5321 §2.4), other than `postmaster` (§4.1.1.3).
    /// Without the feature `idna`, a domain in U-labels only equals itself.
    ///
    /// ```
    /// use postwire_proto::Address;
    ///
    /// let address: Address = "info@B\u{dc}CHER.example".parse()?;
    /// assert!(address.is_same_mailbox(&"info@xn--bcher-kva.EXAMPLE".parse()?));
    /// assert!(address.is_same_mailbox(&"\"info\"@b\u{fc}cher.example".parse()?));
    /// assert!(!address.is_same_mailbox(&"INFO@b\u{fc}cher.example".parse()?));
    /// # Ok::<(), postwire_proto::AddressError>(())
    /// ```
    pub fn is_same_mailbox(&self, other: &Self) -> bool {
        let (one, another) = (unquoted(self.user()), unquoted(other.user()));
        let is_postmaster = |user: &str| user.eq_ignore_ascii_case("postmaster");
        (one == another || is_postmaster(&one) && is_postmaster(&another))
            && (self.domain().eq_ignore_ascii_case(other.domain())
                || domain_in_a_labels(self.domain())
                    .eq_ignore_ascii_case(&domain_in_a_labels(other.domain())))
    }
}

/// The content of a quoted local part; another local part as it is.
fn unquoted(user: &str) -> Cow<'_, str> {
    let Some(quoted) = user
        .strip_prefix('"')
        .and_then(|user| user.strip_suffix('"'))
    else {
        return Cow::Borrowed(user);
    };
    let mut content = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        let escaped = (character == '\\').then(|| characters.next()).flatten();
        content.push(escaped.unwrap_or(character));
    }
    Cow::Owned(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, another: &str) -> bool {
        let address = |text: &str| text.parse::<Address>().expect(text);
        address(one).is_same_mailbox(&address(another))
    }

    #[test]
    fn only_the_form_may_differ() {
        for (one, another) in [
            ("a@B.example", "a@b.EXAMPLE"),
            ("a@[IPv6:::1]", "a@[ipv6:::1]"),
            ("\"a\\b\"@c", "ab@c"),
            ("Postmaster@c", "postMASTER@C"),
        ] {
            assert!(same(one, another), "{one} {another}");
            assert!(same(another, one), "{another} {one}");
        }
        for (one, another) in [
            ("A@b", "a@b"),
            ("a@b.example", "a@b.example.org"),
            ("\"a b\"@c", "ab@c"),
            ("postmaster@c", "hostmaster@c"),
            ("a@[192.0.2.1]", "a@[192.0.2.2]"),
        ] {
            assert!(!same(one, another), "{one} {another}");
        }
    }

    #[cfg(feature = "idna")]
    #[test]
    fn labels_have_two_forms() {
        assert!(same(
            "\u{fc}@B\u{dc}cher.example",
            "\u{fc}@XN--bcher-kva.example"
        ));
        // An invalid domain has one form.
        assert!(same("a@a\u{200d}b.example", "a@a\u{200d}b.Example"));
        assert!(!same("a@a\u{200d}b.example", "a@ab.example"));
    }
}
