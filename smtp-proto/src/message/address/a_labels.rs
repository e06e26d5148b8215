//! Conversion of internationalized domains to ASCII: A-labels for U-labels (RFC 5890 §2.3.2.1),
//! by UTS 46 as browsers and DNS tools do it.
//!
//! Knows domains. Must never know which servers need the ASCII form.

use alloc::borrow::Cow;

#[cfg(feature = "idna")]
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use crate::{Address, Envelope};

impl Address {
    /// The address with its domain in A-labels (`xn--…`), for a server without SMTPUTF8.
    ///
    /// `None` if the local part is not ASCII, which has no other form (RFC 6530 §7.1), or if
    /// the domain is not valid for registration (RFC 5891, UTS 46). An ASCII address is
    /// returned unchanged.
    ///
    /// ```
    /// use postwire_proto::Address;
    ///
    /// let address: Address = "info@b\u{fc}cher.example".parse()?;
    /// let other: Address = "info@xn--bcher-kva.example".parse()?;
    /// assert_eq!(address.with_a_labels(), Some(other));
    ///
    /// let address: Address = "b\u{fc}cher@example.org".parse()?;
    /// assert_eq!(address.with_a_labels(), None);
    /// # Ok::<(), postwire_proto::AddressError>(())
    /// ```
    #[cfg(feature = "idna")]
    pub fn with_a_labels(&self) -> Option<Self> {
        if self.is_ascii() {
            return Some(self.clone());
        }
        if !self.user().is_ascii() {
            return None;
        }
        // The ASCII form may exceed the length limit of an address.
        Self::new(self.user(), to_ascii(self.domain())?).ok()
    }

    #[cfg(not(feature = "idna"))]
    pub(crate) fn with_a_labels(&self) -> Option<Self> {
        self.is_ascii().then(|| self.clone())
    }
}

/// The domain in A-labels; unchanged if it has no such form, or without the feature `idna`.
pub(super) fn domain_in_a_labels(domain: &str) -> Cow<'_, str> {
    #[cfg(feature = "idna")]
    if !domain.is_ascii() {
        return to_ascii(domain).unwrap_or(Cow::Borrowed(domain));
    }
    Cow::Borrowed(domain)
}

#[cfg(feature = "idna")]
fn to_ascii(domain: &str) -> Option<Cow<'_, str>> {
    let hyphens = Hyphens::CheckFirstLast;
    let ascii = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::EMPTY,
        hyphens,
        DnsLength::Verify,
    );
    ascii.ok()
}

impl Envelope {
    /// The envelope with all domains in A-labels, if every address has such a form.
    pub(crate) fn with_a_labels(&self) -> Option<Self> {
        let reverse_path = match self.reverse_path() {
            Some(address) => Some(address.with_a_labels()?),
            None => None,
        };
        let forward_paths = self.forward_paths().iter().map(Address::with_a_labels);
        let forward_paths = forward_paths.collect::<Option<_>>()?;
        Some(self.clone().with_addresses(reverse_path, forward_paths))
    }
}

#[cfg(all(test, feature = "idna"))]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_domains_have_no_ascii_form() {
        for address in [
            // Two characters that may not stand together (RFC 5893), and a joiner (RFC 5892).
            "a@\u{5d0}a.example",
            "a@a\u{200d}b.example",
            // Longer than 63 octets as an A-label (RFC 5890 §2.3.2.1).
            &format!("a@{}.example", "\u{fc}".repeat(60)),
            // Longer than 254 octets in total.
            &format!("a@{}\u{fc}.example", "\u{fc}aaaaaaaa.".repeat(20)),
        ] {
            let address: Address = address.parse().expect(address);
            assert_eq!(address.with_a_labels(), None, "{address}");
        }
    }

    #[test]
    fn case_and_form_are_mapped() {
        let address: Address = "A@B\u{dc}CHER.example".parse().expect("an address");
        let ascii = address.with_a_labels().expect("another form");
        assert_eq!(ascii.as_str(), "A@xn--bcher-kva.example");
    }

    proptest! {
        #[test]
        fn the_result_is_ascii_and_stable(user in "[a-z]{1,5}", domain in "[a-z\u{e0}-\u{f6}-]{1,30}\\.[\u{3b1}-\u{3c9}]{1,5}") {
            if let Ok(address) = Address::new(user, domain)
                && let Some(ascii) = address.with_a_labels()
            {
                prop_assert!(ascii.is_ascii());
                prop_assert_eq!(ascii.user(), address.user());
                prop_assert_eq!(ascii.with_a_labels(), Some(ascii.clone()));
            }
        }
    }
}
