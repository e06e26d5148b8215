//! A small application that sends mail: people sign up, and confirm their address with a code.
//!
//! It sends through `dyn Mailer`, so that its tests need neither a server nor the network; they
//! are `tests/sign_up.rs`. What the application learns from a report: an address that does not
//! exist is said at once, and what only failed for now is sent again later.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use postwire_blocking::Mailer;
use postwire_blocking::proto::{Address, Envelope, Retry};

/// The sign-ups of a site.
pub struct SignUps<'a> {
    mailer: &'a dyn Mailer,
    sender: Address,
    new_code: fn() -> String,
    waiting: Mutex<BTreeMap<String, Waiting>>,
}

/// An address that is not confirmed yet.
struct Waiting {
    code: String,
    /// Whether the message is still to be sent.
    is_unsent: bool,
}

/// What the site tells the person who signs up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The code is in their mailbox.
    LookIntoYourMailbox,
    /// The code comes later: the mail server cannot take it now.
    PleaseWait,
    /// There is no such mailbox, or no such address.
    CheckTheAddress,
}

impl<'a> SignUps<'a> {
    /// Creates an empty list. `new_code` generates codes that nobody can guess.
    pub fn new(mailer: &'a dyn Mailer, sender: Address, new_code: fn() -> String) -> Self {
        Self {
            mailer,
            sender,
            new_code,
            waiting: Mutex::default(),
        }
    }

    /// Signs an address up, and sends it a code.
    pub fn sign_up(&self, address: &str) -> Answer {
        let Ok(recipient) = address.parse::<Address>() else {
            return Answer::CheckTheAddress;
        };
        let code = (self.new_code)();
        let answer = self.send(&recipient, &code);
        if answer != Answer::CheckTheAddress {
            let is_unsent = answer == Answer::PleaseWait;
            self.waiting()
                .insert(recipient.to_string(), Waiting { code, is_unsent });
        }
        answer
    }

    /// Sends what could not be sent before. To be called every half an hour.
    pub fn send_again(&self) {
        for (address, waiting) in self.waiting().iter_mut() {
            if let Ok(recipient) = address.parse()
                && waiting.is_unsent
            {
                waiting.is_unsent = self.send(&recipient, &waiting.code) == Answer::PleaseWait;
            }
        }
    }

    /// Confirms an address. Returns whether the code is right.
    pub fn confirm(&self, address: &str, code: &str) -> bool {
        let mut waiting = self.waiting();
        let is_right = waiting.get(address).is_some_and(|known| known.code == code);
        if is_right {
            waiting.remove(address);
        }
        is_right
    }

    fn send(&self, recipient: &Address, code: &str) -> Answer {
        let sender = &self.sender;
        let Ok(envelope) = Envelope::new(Some(sender.clone()), vec![recipient.clone()]) else {
            return Answer::CheckTheAddress;
        };
        let message = format!(
            "From: {sender}\nTo: {recipient}\nSubject: Please confirm\n\nYour code is {code}.\n"
        );
        match self.mailer.send(&envelope, message.into()) {
            Ok(_) => Answer::LookIntoYourMailbox,
            Err(error) => match error.retry() {
                // A second code does no harm, so a message in doubt is sent again.
                Retry::AtOnce(_) | Retry::Later(_) | Retry::InDoubt(_) => Answer::PleaseWait,
                _ => Answer::CheckTheAddress,
            },
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<String, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
