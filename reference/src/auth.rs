//! Authentication (RFC 4954): the exchanges of `AUTH PLAIN` and `AUTH LOGIN`.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    keywords::Mechanism,
    lines::Line,
    offence::Offence,
    recorder::{Mode, Recorder},
    replies::Reply,
};

/// What the server waits for in an exchange.
#[derive(Clone, Debug)]
pub(crate) enum Challenge {
    Plain,
    LoginUser,
    LoginPassword { user: Vec<u8> },
}

impl Recorder {
    pub(crate) fn execute_auth(&mut self, line: &str, arguments: &str) {
        if self.offered.auth.is_empty() {
            self.offend(Offence::CommandNotOffered(line.to_owned()));
            self.answer(&Reply::new(502, "5.5.1", "not available"));
            return;
        }
        if self.authenticated || self.transaction.is_some() {
            self.answer(&Reply::new(503, "5.5.1", "not now"));
            return;
        }
        let (name, initial) = match arguments.split_once(' ') {
            Some((name, initial)) => (name, Some(initial)),
            None => (arguments, None),
        };
        let Some(mechanism) = [Mechanism::Plain, Mechanism::Login]
            .into_iter()
            .find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
            .filter(|mechanism| self.offered.auth.contains(mechanism))
        else {
            self.offend(Offence::ParameterNotOffered(line.to_owned()));
            self.answer(&Reply::new(504, "5.5.4", "no such mechanism"));
            return;
        };
        let challenge = match mechanism {
            Mechanism::Plain => Challenge::Plain,
            Mechanism::Login => Challenge::LoginUser,
        };
        match initial {
            // A lone `=` is an empty initial response.
            Some("=") => self.respond(challenge, Vec::new()),
            Some(text) => self.respond_encoded(challenge, text.as_bytes()),
            None => self.challenge(challenge),
        }
    }

    fn challenge(&mut self, challenge: Challenge) {
        let text = match &challenge {
            Challenge::Plain => String::new(),
            Challenge::LoginUser => STANDARD.encode("Username:"),
            Challenge::LoginPassword { .. } => STANDARD.encode("Password:"),
        };
        self.last_of_group = Some("AUTH".to_owned());
        if self.answer(&Reply::new(334, "", text)) {
            self.mode = Mode::Challenge(challenge);
        } else {
            self.mode = Mode::Command;
        }
    }

    /// Executes a line that answers a challenge.
    pub(crate) fn execute_challenge(&mut self, line: &Line) {
        let Mode::Challenge(challenge) = std::mem::replace(&mut self.mode, Mode::Command) else {
            unreachable!("the mode is a challenge");
        };
        let text = line.octets.escape_ascii().to_string();
        if line.bare_end {
            self.offend(Offence::BareLineEnd(text.clone()));
        }
        if line.length > 12_288 {
            self.offend(Offence::TooLong(text));
            self.answer(&Reply::new(500, "5.5.6", "line too long"));
        } else if line.octets == b"*" {
            self.answer(&Reply::new(501, "5.7.0", "authentication cancelled"));
        } else {
            self.respond_encoded(challenge, &line.octets);
        }
    }

    fn respond_encoded(&mut self, challenge: Challenge, encoded: &[u8]) {
        if let Ok(response) = STANDARD.decode(encoded) {
            self.respond(challenge, response);
        } else {
            self.offend(Offence::Malformed(encoded.escape_ascii().to_string()));
            self.answer(&Reply::new(501, "5.5.2", "not base64"));
        }
    }

    fn respond(&mut self, challenge: Challenge, response: Vec<u8>) {
        let (user, password) = match challenge {
            Challenge::LoginUser => {
                return self.challenge(Challenge::LoginPassword { user: response });
            }
            Challenge::LoginPassword { user } => (user, response),
            Challenge::Plain => {
                // [authorisation identity] NUL user NUL password (RFC 4616 §2).
                let parts: Vec<&[u8]> = response.split(|octet| *octet == 0).collect();
                let [_, user, password] = parts[..] else {
                    self.offend(Offence::Malformed(response.escape_ascii().to_string()));
                    self.answer(&Reply::new(501, "5.5.2", "malformed response"));
                    return;
                };
                (user.to_vec(), password.to_vec())
            }
        };
        self.last_of_group = Some("AUTH".to_owned());
        let right =
            user == self.dialect.user.as_bytes() && password == self.dialect.password.as_bytes();
        if !right {
            self.answer(&Reply::new(535, "5.7.8", "credentials invalid"));
        } else if self.answer(&Reply::new(235, "2.7.0", "authenticated")) {
            self.authenticated = true;
        }
    }
}
