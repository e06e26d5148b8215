//! How long a server may take (RFC 5321 §4.5.3.2).

use core::time::Duration;

/// How long each stage may take. RFC 5321 §4.5.3.2 gives the defaults.
///
/// A reply's time is counted from when its command was handed over (or from the
/// reply before it, for a command sent in a group) and is absolute: a server
/// that sends a line now and then gains nothing by it.
///
/// ```
/// use std::time::Duration;
///
/// use postwire_proto::Timeouts;
///
/// let timeouts = Timeouts::default().connect(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Resolving a name and connecting, all addresses together. 2 minutes.
    pub connect: Duration,
    /// The TLS handshake. 1 minute.
    pub tls: Duration,
    /// The greeting, from when the connection stands. 5 minutes.
    pub greeting: Duration,
    /// The reply to `EHLO`, `HELO` or `LHLO`. 5 minutes.
    pub ehlo: Duration,
    /// The reply to `STARTTLS`. 2 minutes.
    pub starttls: Duration,
    /// Each reply in an authentication exchange, and the credentials where they are fetched
    /// late. 2 minutes.
    pub auth: Duration,
    /// The reply to `MAIL`, `RSET` or a [`Command`](crate::Command) beside sending. 5 minutes.
    pub mail: Duration,
    /// The reply to each `RCPT`. 5 minutes.
    pub rcpt: Duration,
    /// The `354` to `DATA`. 2 minutes.
    pub data: Duration,
    /// Writing without any progress. 3 minutes.
    pub body: Duration,
    /// The reply to the end of the content. 10 minutes: a client that gives up
    /// earlier makes duplicates.
    pub end_of_data: Duration,
    /// The reply to `QUIT`. 5 seconds: nothing depends on it.
    pub quit: Duration,
    /// The first reply over a session that was idle for more than a second, if that is
    /// shorter than the stage's own time. 10 seconds.
    ///
    /// A connection that died while nobody used it looks alive until something is asked
    /// over it. Nothing was sent then but `MAIL`, `RSET` or a command beside sending, so
    /// the message is not sent, and an adapter tries once more over a fresh connection.
    pub after_idle: Duration,
    /// From one verdict (or the start) to the next while a message or command is queued.
    /// None by default.
    pub overall: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            connect: MINUTE.saturating_mul(2),
            tls: MINUTE,
            greeting: MINUTE.saturating_mul(5),
            ehlo: MINUTE.saturating_mul(5),
            starttls: MINUTE.saturating_mul(2),
            auth: MINUTE.saturating_mul(2),
            mail: MINUTE.saturating_mul(5),
            rcpt: MINUTE.saturating_mul(5),
            data: MINUTE.saturating_mul(2),
            body: MINUTE.saturating_mul(3),
            end_of_data: MINUTE.saturating_mul(10),
            quit: Duration::from_secs(5),
            after_idle: Duration::from_secs(10),
            overall: None,
        }
    }
}

impl Timeouts {
    setters! {
        connect: Duration,
        tls: Duration,
        greeting: Duration,
        ehlo: Duration,
        starttls: Duration,
        auth: Duration,
        mail: Duration,
        rcpt: Duration,
        data: Duration,
        body: Duration,
        end_of_data: Duration,
        quit: Duration,
        after_idle: Duration,
        overall: Option<Duration>,
    }

    /// The same, no stage longer than `cap`.
    #[must_use]
    pub fn capped(mut self, cap: Duration) -> Self {
        for stage in [
            &mut self.connect,
            &mut self.tls,
            &mut self.greeting,
            &mut self.ehlo,
            &mut self.starttls,
            &mut self.auth,
            &mut self.mail,
            &mut self.rcpt,
            &mut self.data,
            &mut self.body,
            &mut self.end_of_data,
            &mut self.quit,
            &mut self.after_idle,
        ] {
            *stage = (*stage).min(cap);
        }
        self
    }
}
