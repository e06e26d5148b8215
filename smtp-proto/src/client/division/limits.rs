//! The limits that a server declares for a session (LIMITS, RFC 9422).
//!
//! Counts, and decides whether one more transaction fits. Must never send anything.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::client::message::Message;
use crate::{ErrorKind, LimitsParameters};

/// How much of the declared limits the session has used.
#[derive(Debug, Default)]
pub(in crate::client) struct Used {
    transactions: u32,
    /// The domains of the recipients, in lower case; recorded only if there is a limit.
    domains: BTreeSet<Box<str>>,
}

impl Used {
    /// Whether another transaction may begin (RFC 9422 §4.1).
    pub(in crate::client) fn has_room(&self, limits: LimitsParameters) -> bool {
        limits.mail_max.is_none_or(|most| self.transactions < most)
    }

    /// Counts a transaction and limits its recipients to those that fit. Fails if the
    /// transaction fits in another session only.
    pub(in crate::client) fn admit(
        &mut self,
        limits: LimitsParameters,
        message: &mut Message,
    ) -> Result<(), ErrorKind> {
        let mut added = Vec::new();
        let fits = self.fit(limits, message, &mut added);
        if fits.is_err() {
            // A message that is not sent does not count.
            for domain in &added {
                self.domains.remove(domain);
            }
        } else {
            self.transactions = self.transactions.saturating_add(1);
        }
        fits
    }

    fn fit(
        &mut self,
        limits: LimitsParameters,
        message: &mut Message,
        added: &mut Vec<Box<str>>,
    ) -> Result<(), ErrorKind> {
        // The domains of a further transaction were counted with the first transaction.
        if let Some(most) = limits.rcpt_domain_max
            && !message.portion.is_further()
        {
            self.fit_domains(size(most), message, added)?;
        }
        match limits.rcpt_max {
            Some(most) => message.limit_recipients("RCPTMAX", size(most)),
            None => Ok(()),
        }
    }

    /// Limits the domains of all recipients in the session (RFC 9422 §4.3).
    fn fit_domains(
        &mut self,
        most: usize,
        message: &mut Message,
        added: &mut Vec<Box<str>>,
    ) -> Result<(), ErrorKind> {
        let before = self.domains.len();
        let mut positions = Vec::new();
        let mut without_room = BTreeSet::new();
        for position in message.portion.positions() {
            let Some(address) = message.envelope.forward_paths().get(position) else {
                continue;
            };
            let domain = address.domain().to_ascii_lowercase().into_boxed_str();
            if !self.domains.contains(&domain) {
                if self.domains.len() == most {
                    without_room.insert(domain);
                    continue;
                }
                added.push(domain.clone());
                self.domains.insert(domain);
            }
            positions.push(position);
        }
        if positions.len() == message.portion.total() {
            return Ok(());
        }
        if before > 0 {
            return Err(ErrorKind::SessionFull);
        }
        let wanted = most.saturating_add(without_room.len());
        message.keep_recipients("RCPTDOMAINMAX", wanted, most, positions)
    }
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}
