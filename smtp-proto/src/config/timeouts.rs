//! Time limits for the server's replies (RFC 5321 §4.5.3.2).

use core::time::Duration;

/// Time limits for each stage of a session. The defaults for replies are those of RFC 5321
/// §4.5.3.2; it has none for `connect`, `tls`, `quit` and `after_idle`.
///
/// A reply's time counts from the moment at which its command is handed over (for a command
/// within a group, from the reply before it). The limit is absolute: a server cannot extend it
/// by sending a line now and then.
///
/// With the feature `serde` it is part of a configuration file: each limit is a number of seconds,
/// and limits that are missing keep their defaults.
///
/// ```
/// use std::time::Duration;
///
/// use postwire_proto::Timeouts;
///
/// let timeouts = Timeouts::default().connect(Duration::from_secs(10));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
#[non_exhaustive]
pub struct Timeouts {
    /// Resolving a name and connecting, for all addresses together. Default 30 seconds.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub connect: Duration,
    /// The TLS handshake. Default 1 minute.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub tls: Duration,
    /// The greeting, from the moment the connection is established. Default 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub greeting: Duration,
    /// The reply to `EHLO`, `HELO` or `LHLO`. Default 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub ehlo: Duration,
    /// The reply to `STARTTLS`. Default 2 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub starttls: Duration,
    /// Each reply in an authentication exchange, and the wait for late credentials. Default 2 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub auth: Duration,
    /// The reply to `MAIL`, `RSET` or a [`Command`](crate::Command). Default 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub mail: Duration,
    /// The reply to each `RCPT`. Default 5 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub rcpt: Duration,
    /// The `354` to `DATA`. Default 2 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub data: Duration,
    /// Writing without any progress. Default 3 minutes.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub body: Duration,
    /// The reply to the end of the content. Default 10 minutes: a client that gives up earlier causes
    /// duplicates.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub end_of_data: Duration,
    /// The reply to `QUIT`. Default 5 seconds: no message depends on it.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub quit: Duration,
    /// The first reply after the session was idle for more than a second, if this is shorter
    /// than the stage's own limit. Default 10 seconds.
    ///
    /// A connection that died while it was idle looks alive until a command is sent. Only
    /// `MAIL`, `RSET` or a [`Command`](crate::Command) is outstanding then, so the message is
    /// certainly not sent, and an adapter retries once over a new connection.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds"))]
    pub after_idle: Duration,
    /// From one verdict (or the start) to the next while a message or command is queued. No
    /// limit by default.
    #[cfg_attr(feature = "serde", serde(with = "crate::seconds::option"))]
    pub overall: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            connect: Duration::from_secs(30),
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

    /// The limits for a program whose user waits: no stage takes longer than 10 seconds, and no
    /// message waits longer than 30 seconds for its verdict within a session.
    ///
    /// The wait for a connection of a pool is not within a session: the `timeout` of a transport
    /// limits a whole `send`.
    ///
    /// A server that checks content for longer than that leaves the message in doubt. A mail server
    /// that relays messages keeps the defaults.
    pub fn interactive() -> Self {
        Self::default()
            .capped(Duration::from_secs(10))
            .overall(Some(Duration::from_secs(30)))
    }

    /// Limits every stage to at most `cap`.
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
