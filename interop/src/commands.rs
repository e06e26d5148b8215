//! Commands that are not part of sending a message, and Postfix's replies.

use postwire_blocking::proto::{Body, Command, Pipelining};

use crate::cases::{IN_PLAINTEXT, Interop, Outcome};
use crate::mailboxes::Delivery;
use crate::server::Port;
use crate::session::{Mode, Setup};

impl Interop<'_> {
    /// Postfix knows its users, and offers neither lists nor help.
    pub(crate) fn commands(&mut self) -> Outcome {
        let known = self.server.address("alice")?;
        let unknown = self.server.address("nobody")?;
        let commands = [
            Command::noop(),
            Command::vrfy(&known)?,
            Command::vrfy(&unknown)?,
            Command::vrfy(self.server.address("j\u{fc}rgen")?)?,
            Command::expn("staff")?,
            Command::help(),
            Command::etrn("elsewhere.example")?,
            Command::raw("XFOO bar")?,
        ];
        for pipelining in [Pipelining::Careful, Pipelining::Bold, Pipelining::Off] {
            let mut setup = Setup::new(Mode::None, Port::Plain);
            setup.pipelining = pipelining;
            let octets = b"Subject: asked\r\n\r\nand sent\r\n";
            let message = (self.envelope(&["alice"])?, Body::from(&octets[..]));
            let (codes, sent) = setup.ask(self.server, self.runtime, message, commands.to_vec())?;
            let deliveries: Vec<_> = sent
                .reports
                .iter()
                .map(|report| Delivery::new(octets, report))
                .collect();
            let stored = self.mailboxes.compare(&deliveries)?;
            let codes: Vec<String> = codes.iter().map(ToString::to_string).collect();
            let outcome = format!("{}; {}", codes.join(" "), sent.summary());
            let expected = format!("250 252 550 252 500 500 459 500; {IN_PLAINTEXT}");
            let case = "NOOP, VRFY, EXPN, HELP, ETRN";
            self.add_row(&setup, case, &expected, outcome, stored);
        }
        Ok(())
    }
}
