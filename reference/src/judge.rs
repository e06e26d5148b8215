//! The judge: it compares what a program sent, what the client reports about it, and
//! what the servers took. It knows no types of any client.

use std::collections::{BTreeMap, BTreeSet};

use crate::{canonical::canonical, recorder::Taken};

/// A message that the program gave to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// A number of its own.
    pub id: usize,
    /// The address of the sender, without angle brackets.
    pub reverse_path: String,
    /// The recipients, in order.
    pub recipients: Vec<String>,
    /// The content as the program gave it.
    pub content: Vec<u8>,
    /// The message must be taken for all recipients or for none.
    pub all_or_nothing: bool,
}

/// What the client reports of a message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A server took it for at least one recipient.
    Accepted,
    /// No server took it: it was refused.
    Rejected,
    /// No server took it: the client did not send it.
    NotSent,
    /// The client cannot know.
    InDoubt,
}

/// What the client reports of one recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// A server took the message for the recipient.
    Accepted,
    /// A server refused the recipient, or the content for it.
    Refused,
    /// The message was not sent to the recipient.
    NotSent,
    /// The client cannot know.
    InDoubt,
}

/// What the client reports of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// The [`Sent::id`] of the message.
    pub id: usize,
    /// The report of the whole.
    pub verdict: Verdict,
    /// The report of each recipient, in the order of [`Sent::recipients`].
    pub recipients: Vec<(String, Status)>,
}

/// Judges a run whose reports come in the order of sending.
///
/// `taken` holds what was taken on every connection of the run together. The rules:
///
/// - Each message is reported once, and the reports come in the order of `sent`.
/// - A report lists each recipient of the message once, in order.
/// - A recipient that is `Accepted` was taken exactly once, with the sender and content of
///   the message; one that is `Refused` or `NotSent` was not taken; one that is `InDoubt`
///   was taken at most once.
/// - A verdict `Accepted` has an accepted recipient, and `InDoubt` one in doubt; `Rejected`
///   and `NotSent` have neither, since a program may send such a message again.
/// - A message that is all or nothing was taken for all recipients or for none.
/// - Nothing was taken that nobody sent.
///
/// Contents are equal if their [`canonical`] forms are. A content by `BDAT` with
/// `BODY=BINARYMIME` must be equal octet by octet. Messages with equal contents are
/// told apart by their recipients; if more than one assignment is possible, one that
/// breaks no rule is enough.
///
/// # Errors
///
/// The first rule that is broken, in words.
pub fn judge(sent: &[Sent], reported: &[Reported], taken: &[&Taken]) -> Result<(), String> {
    for (number, (message, report)) in sent.iter().zip(reported).enumerate() {
        if message.id != report.id {
            return Err(format!(
                "report {number} is about message {}, but message {} is due",
                report.id, message.id
            ));
        }
    }
    judge_unordered(sent, reported, taken)
}

/// Judges a run whose reports come in any order; the other rules are those of [`judge`].
///
/// # Errors
///
/// The first rule that is broken, in words.
pub fn judge_unordered(
    sent: &[Sent],
    reported: &[Reported],
    taken: &[&Taken],
) -> Result<(), String> {
    let mut reports: BTreeMap<usize, &Reported> = BTreeMap::new();
    for report in reported {
        if reports.insert(report.id, report).is_some() {
            return Err(format!("message {} is reported twice", report.id));
        }
    }
    let mut ids = BTreeSet::new();
    let mut cases = Vec::new();
    for message in sent {
        if !ids.insert(message.id) {
            return Err(format!("the test sends two messages {}", message.id));
        }
        let report = reports
            .remove(&message.id)
            .ok_or_else(|| format!("message {} is not reported", message.id))?;
        check_report(message, report)?;
        cases.push(Case::new(message, report));
    }
    if let Some(id) = reports.keys().next() {
        return Err(format!("message {id} is reported, but nobody sent it"));
    }
    let mut classes: BTreeMap<Vec<u8>, (Vec<Case<'_>>, Vec<&Taken>)> = BTreeMap::new();
    for case in cases {
        let form = canonical(&case.message.content);
        classes.entry(form).or_default().0.push(case);
    }
    for content in taken {
        match classes.get_mut(&canonical(&content.content)) {
            Some((_, contents)) => contents.push(content),
            None => return Err(stranger(content, sent)),
        }
    }
    for (mut cases, contents) in classes.into_values() {
        if let [case] = &mut cases[..] {
            for content in &contents {
                case.place(content)?;
            }
            case.check()?;
        } else {
            let mut budget = 100_000;
            assign(&mut cases, &contents, &mut budget)?;
        }
    }
    Ok(())
}

/// The rules that the report alone can break.
fn check_report(message: &Sent, report: &Reported) -> Result<(), String> {
    let id = message.id;
    let listed: Vec<&String> = report.recipients.iter().map(|(name, _)| name).collect();
    if listed != message.recipients.iter().collect::<Vec<_>>() {
        return Err(format!(
            "the report of message {id} lists {listed:?}, but its recipients are {:?}",
            message.recipients
        ));
    }
    let count = |wanted: Status| {
        let recipients = report.recipients.iter();
        recipients.filter(|(_, status)| *status == wanted).count()
    };
    let (accepted, in_doubt) = (count(Status::Accepted), count(Status::InDoubt));
    match report.verdict {
        Verdict::Accepted if accepted == 0 => Err(format!(
            "message {id} is reported as accepted, but none of its recipients is"
        )),
        Verdict::Rejected | Verdict::NotSent if accepted > 0 => Err(format!(
            "message {id} is reported as {:?}, but {accepted} of its recipients are accepted",
            report.verdict
        )),
        Verdict::Rejected | Verdict::NotSent if in_doubt > 0 => Err(format!(
            "message {id} is reported as {:?}, but {in_doubt} of its recipients are in doubt",
            report.verdict
        )),
        Verdict::InDoubt if in_doubt == 0 => Err(format!(
            "message {id} is reported as in doubt, but none of its recipients is"
        )),
        _ => Ok(()),
    }
}

/// Why a content that equals no message is there.
fn stranger(content: &Taken, sent: &[Sent]) -> String {
    let ours = sent.iter().find(|message| {
        content
            .recipients
            .iter()
            .all(|recipient| message.recipients.contains(recipient))
    });
    let shown = content.content[..content.content.len().min(400)].escape_ascii();
    let from = &content.reverse_path;
    let to = content.recipients.join(", ");
    let hint = match ours {
        Some(message) => format!(" (a damaged message {}?)", message.id),
        None => String::new(),
    };
    format!("nobody sent what was taken from <{from}> for {to}{hint}: {shown}")
}

/// One message, its report, and which of its recipients were taken.
#[derive(Clone)]
struct Case<'run> {
    message: &'run Sent,
    report: &'run Reported,
    taken: Vec<bool>,
}

impl<'run> Case<'run> {
    fn new(message: &'run Sent, report: &'run Reported) -> Self {
        Self {
            message,
            report,
            taken: vec![false; message.recipients.len()],
        }
    }

    /// Counts a content as this message.
    fn place(&mut self, content: &Taken) -> Result<(), String> {
        let id = self.message.id;
        let is_binary = content.by_bdat
            && content
                .parameters
                .iter()
                .any(|parameter| parameter.eq_ignore_ascii_case("BODY=BINARYMIME"));
        if is_binary && content.content != self.message.content {
            return Err(format!(
                "message {id} was taken as binary, but not octet by octet"
            ));
        }
        if content.reverse_path != self.message.reverse_path {
            return Err(format!(
                "message {id} of <{}> was taken from <{}>",
                self.message.reverse_path, content.reverse_path
            ));
        }
        for recipient in &content.recipients {
            self.place_recipient(recipient)?;
        }
        Ok(())
    }

    fn place_recipient(&mut self, recipient: &str) -> Result<(), String> {
        let id = self.message.id;
        let listed = self.report.recipients.iter().enumerate();
        let slots: Vec<(usize, Status)> = listed
            .filter(|(_, (name, _))| name == recipient)
            .map(|(slot, (_, status))| (slot, *status))
            .collect();
        if slots.is_empty() {
            return Err(format!(
                "message {id} was taken for {recipient}, which is not its recipient"
            ));
        }
        // An address that is listed more than once: what must be taken comes first.
        let free = |wanted: Status| {
            slots
                .iter()
                .find(|(slot, status)| *status == wanted && !self.taken[*slot])
        };
        if let Some((slot, _)) = free(Status::Accepted).or_else(|| free(Status::InDoubt)) {
            self.taken[*slot] = true;
            return Ok(());
        }
        let is_denied = slots
            .iter()
            .all(|(_, status)| matches!(status, Status::Refused | Status::NotSent));
        Err(if is_denied {
            let status = slots[0].1;
            format!("message {id} was taken for {recipient}, which is reported as {status:?}")
        } else {
            format!("message {id} was taken for {recipient} more than once")
        })
    }

    /// The rules that hold when every content has its place.
    fn check(&self) -> Result<(), String> {
        let id = self.message.id;
        for ((recipient, status), taken) in self.report.recipients.iter().zip(&self.taken) {
            if *status == Status::Accepted && !taken {
                return Err(format!(
                    "message {id} is reported as accepted for {recipient}, but was not taken"
                ));
            }
        }
        let count = self.taken.iter().filter(|taken| **taken).count();
        if self.message.all_or_nothing && count > 0 && count < self.taken.len() {
            return Err(format!(
                "message {id} is all or nothing, but was taken for {count} of {} recipients",
                self.taken.len()
            ));
        }
        Ok(())
    }
}

/// Finds a message for each content, among messages of equal content, such that no
/// rule is broken. The first message that fits is tried first; if that leads nowhere,
/// the next one. A search that takes too many steps counts as a success, because the
/// test made it too hard.
fn assign(
    cases: &mut Vec<Case<'_>>,
    contents: &[&Taken],
    budget: &mut usize,
) -> Result<(), String> {
    let Some((content, rest)) = contents.split_first() else {
        return cases.iter().try_for_each(Case::check);
    };
    let mut first_error = None;
    for number in 0..cases.len() {
        if *budget == 0 {
            return Ok(());
        }
        *budget -= 1;
        let before = cases[number].clone();
        let outcome = cases[number]
            .place(content)
            .and_then(|()| assign(cases, rest, budget));
        match outcome {
            Ok(()) => return Ok(()),
            Err(error) => first_error.get_or_insert(error),
        };
        cases[number] = before;
    }
    let first = first_error.unwrap_or_default();
    Err(format!(
        "no assignment to the messages of equal content fits: {first}"
    ))
}
