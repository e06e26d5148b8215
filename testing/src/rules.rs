//! Rules: at which moment of a session the server does something other than accept.
//!
//! Knows moments and actions. Must never know how an action is carried out.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postwire_tls::proto::{Address, Reply};

use crate::TestServer;

/// The moment of a session at which a rule applies.
///
/// An enum of its own, and not `postwire_proto::Stage`, because a rule can be about one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger<'a> {
    /// A client has connected. The default is the greeting, `220`. A refusal ends the session.
    Greeting,
    /// `EHLO`, `HELO` or `LHLO`. The default is `250` with the extensions. Clients that are
    /// refused with 5xx usually try `HELO` next, which is a further occasion.
    Hello,
    /// A client has given its user and password. The default is `235` if both are right,
    /// otherwise `535`.
    Auth,
    /// `MAIL`. The default is `250`.
    Mail,
    /// `RCPT` with this mailbox, in whatever form ([`Address::is_same_mailbox`]). The default is
    /// `250`.
    Rcpt(&'a str),
    /// `RCPT` with any address.
    AnyRcpt,
    /// The whole message has arrived, by `DATA` or by `BDAT`. The default is `250`. In LMTP a reply
    /// counts for all recipients.
    Content,
    /// In LMTP only: the message has arrived, and the reply for this recipient is due. The default
    /// is `250`.
    Delivery(&'a str),
}

impl Trigger<'_> {
    /// Whether the rule can only apply in LMTP.
    pub(crate) fn is_only_for_lmtp(self) -> bool {
        matches!(self, Self::Delivery(_))
    }

    #[track_caller]
    fn moment(self) -> Moment {
        match self {
            Self::Greeting => Moment::Greeting,
            Self::Hello => Moment::Hello,
            Self::Auth => Moment::Auth,
            Self::Mail => Moment::Mail,
            Self::Rcpt(recipient) => Moment::Rcpt(Some(address(recipient))),
            Self::AnyRcpt => Moment::Rcpt(None),
            Self::Content => Moment::Content,
            Self::Delivery(recipient) => Moment::Delivery(address(recipient)),
        }
    }
}

#[track_caller]
fn address(text: &str) -> Address {
    match text.parse() {
        Ok(address) => address,
        Err(error) => panic!("{text:?} is not an address: {error}"),
    }
}

/// A [`Trigger`] with a valid address.
#[derive(Clone, Debug)]
enum Moment {
    Greeting,
    Hello,
    Auth,
    Mail,
    Rcpt(Option<Address>),
    Content,
    Delivery(Address),
}

/// What has happened in a session.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Occasion<'a> {
    Greeting,
    Hello,
    Auth,
    Mail,
    Rcpt(&'a Address),
    Content,
    Delivery(&'a Address),
}

impl Moment {
    fn is(&self, occasion: Occasion<'_>) -> bool {
        match (self, occasion) {
            (Self::Greeting, Occasion::Greeting)
            | (Self::Hello, Occasion::Hello)
            | (Self::Auth, Occasion::Auth)
            | (Self::Mail, Occasion::Mail)
            | (Self::Rcpt(None), Occasion::Rcpt(_))
            | (Self::Content, Occasion::Content) => true,
            (Self::Rcpt(Some(expected)), Occasion::Rcpt(recipient))
            | (Self::Delivery(expected), Occasion::Delivery(recipient)) => {
                expected.is_same_mailbox(recipient)
            }
            _ => false,
        }
    }
}

#[derive(Clone, Debug)]
enum Action {
    Reply(Reply),
    HangUp,
    Delay(Duration),
}

/// The decision for one occasion.
#[derive(Debug, Default)]
pub(crate) struct Decision {
    pub(crate) delay: Duration,
    pub(crate) answer: Option<Answer>,
}

/// What the server does instead of the default.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Reply(Reply),
    HangUp,
}

/// The rules of a server, in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Rules(Mutex<Vec<StoredRule>>);

#[derive(Debug)]
struct StoredRule {
    moment: Moment,
    /// The occasions for which it applies, counted from 1.
    occasions: RangeInclusive<u64>,
    seen: u64,
    action: Action,
}

impl Rules {
    #[track_caller]
    pub(crate) fn on<S>(&self, trigger: Trigger<'_>) -> Rule<'_, S> {
        Rule {
            rules: self,
            moment: trigger.moment(),
            occasions: 1..=u64::MAX,
            target: PhantomData,
        }
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    /// Counts the occasion and decides.
    pub(crate) fn decide(&self, occasion: Occasion<'_>) -> Decision {
        let mut decision = Decision::default();
        for rule in self.lock().iter_mut() {
            if !rule.moment.is(occasion) {
                continue;
            }
            rule.seen += 1;
            if rule.occasions.contains(&rule.seen) {
                match &rule.action {
                    Action::Delay(time) => decision.delay = decision.delay.saturating_add(*time),
                    Action::Reply(reply) => decision.answer = Some(Answer::Reply(reply.clone())),
                    Action::HangUp => decision.answer = Some(Answer::HangUp),
                }
            }
        }
        decision
    }

    fn lock(&self) -> MutexGuard<'_, Vec<StoredRule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A rule that is being written: [`TestServer::on`] or
/// [`RecordingTransport::on`](crate::RecordingTransport::on) begins it, and one of its actions
/// adds it.
///
/// Without [`once`](Self::once), [`first`](Self::first) or [`nth`](Self::nth) the rule applies
/// every time. Occasions are counted from the moment at which the rule is added. If several rules
/// apply, all their delays are added up, and the latest rule that replies or hangs up decides.
///
/// ```
/// use std::time::Duration;
/// use postwire_testing::{TestServer, Trigger::*};
///
/// let server = TestServer::start();
/// server.on(Rcpt("bob@example.net")).reply("550 5.1.1 no such user");
/// server.on(Content).once().hang_up();
/// server.on(Greeting).nth(2).delay(Duration::from_millis(5));
/// ```
#[must_use = "a rule has no effect without an action, such as `reply`"]
pub struct Rule<'a, S> {
    rules: &'a Rules,
    moment: Moment,
    occasions: RangeInclusive<u64>,
    target: PhantomData<fn() -> S>,
}

impl<S> Rule<'_, S> {
    /// Applies the rule the first time only.
    pub fn once(self) -> Self {
        self.first(1)
    }

    /// Applies the rule this many times.
    ///
    /// # Panics
    ///
    /// Panics if `times` is 0.
    #[track_caller]
    pub fn first(mut self, times: u64) -> Self {
        assert!(times > 0, "a rule that applies 0 times has no effect");
        self.occasions = 1..=times;
        self
    }

    /// Applies the rule the `occasion`-th time only, counted from 1.
    ///
    /// # Panics
    ///
    /// Panics if `occasion` is 0.
    #[track_caller]
    pub fn nth(mut self, occasion: u64) -> Self {
        assert!(occasion > 0, "occasions are counted from 1");
        self.occasions = occasion..=occasion;
        self
    }

    /// Replies with this line: 4xx or 5xx refuses, 2xx accepts with another text. `421` also ends
    /// the session.
    ///
    /// # Panics
    ///
    /// Panics if `reply` is not a line such as `550 5.1.1 no such user`, or its code is 3xx.
    #[track_caller]
    pub fn reply(self, reply: &str) {
        let reply: Reply = match reply.parse() {
            Ok(parsed) => parsed,
            Err(error) => panic!("{reply:?} is {error}"),
        };
        assert!(
            !reply.code().is_intermediate(),
            "{reply} neither accepts nor refuses"
        );
        self.add(Action::Reply(reply));
    }

    /// Closes the connection instead of replying. A message that has arrived is not stored.
    pub fn hang_up(self) {
        self.add(Action::HangUp);
    }

    fn add(self, action: Action) {
        self.rules.lock().push(StoredRule {
            moment: self.moment,
            occasions: self.occasions,
            seen: 0,
            action,
        });
    }
}

impl Rule<'_, TestServer> {
    /// Waits for this time before the reply. The server waits no longer than until it is dropped.
    pub fn delay(self, time: Duration) {
        self.add(Action::Delay(time));
    }
}

impl<S> fmt::Debug for Rule<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("moment", &self.moment)
            .field("occasions", &self.occasions)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(rules: &Rules, occasion: Occasion<'_>) -> String {
        let decision = rules.decide(occasion);
        let answer = match decision.answer {
            None => "accept".to_owned(),
            Some(Answer::HangUp) => "hang up".to_owned(),
            Some(Answer::Reply(reply)) => reply.to_string(),
        };
        format!("{} {answer}", decision.delay.as_secs())
    }

    #[test]
    fn the_latest_rule_decides_and_delays_add_up() {
        let rules = Rules::default();
        let on = |trigger| rules.on::<TestServer>(trigger);
        on(Trigger::Mail).reply("450 later");
        on(Trigger::Mail).once().hang_up();
        on(Trigger::Mail).nth(2).delay(Duration::from_secs(3));
        on(Trigger::Mail).first(2).delay(Duration::from_secs(1));
        let mail = || decide(&rules, Occasion::Mail);
        assert_eq!(
            [mail(), mail(), mail()],
            ["1 hang up", "4 450 later", "0 450 later"]
        );
        rules.clear();
        assert_eq!(mail(), "0 accept");
    }

    #[test]
    fn a_rule_is_for_one_recipient_or_for_any() {
        let rules = Rules::default();
        let on = |trigger| rules.on::<TestServer>(trigger);
        on(Trigger::AnyRcpt).reply("451 busy");
        on(Trigger::Rcpt("Bob@example.net")).once().reply("550 no");
        let rcpt = |recipient: &str| decide(&rules, Occasion::Rcpt(&recipient.parse().unwrap()));
        assert_eq!(rcpt("bob@example.net"), "0 451 busy");
        assert_eq!(rcpt("Bob@EXAMPLE.net"), "0 550 no");
        assert_eq!(rcpt("Bob@example.net"), "0 451 busy");
        let same: Address = "Bob@example.net".parse().unwrap();
        assert_eq!(decide(&rules, Occasion::Delivery(&same)), "0 accept");
    }

    #[test]
    #[should_panic(expected = "\"bob\" is not an address")]
    fn an_address_must_be_one() {
        let _ = Rules::default().on::<TestServer>(Trigger::Rcpt("bob"));
    }

    #[test]
    #[should_panic(expected = "\"no\" is not a reply of one line")]
    fn a_reply_must_be_one() {
        Rules::default().on::<TestServer>(Trigger::Mail).reply("no");
    }

    #[test]
    #[should_panic(expected = "neither accepts nor refuses")]
    fn a_reply_must_decide() {
        let rules = Rules::default();
        rules.on::<TestServer>(Trigger::Mail).reply("354 go on");
    }
}
