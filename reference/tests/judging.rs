//! The judge: for each rule one run that keeps it, and one that breaks it and is found.
#![allow(clippy::unwrap_used)]

use postwire_reference::{Reported, Sent, Status, Taken, Verdict, judge, judge_unordered};

const ANN: &str = "ann@server.example";
const BEN: &str = "ben@server.example";

fn sent(id: usize, recipients: &[&str], content: &str) -> Sent {
    Sent {
        id,
        reverse_path: "a@client.example".to_owned(),
        recipients: recipients.iter().map(ToString::to_string).collect(),
        content: content.into(),
        all_or_nothing: false,
    }
}

fn reported(id: usize, verdict: Verdict, recipients: &[(&str, Status)]) -> Reported {
    let recipients = recipients.iter();
    Reported {
        id,
        verdict,
        recipients: recipients
            .map(|(name, status)| ((*name).to_owned(), *status))
            .collect(),
    }
}

fn accepted(id: usize, recipients: &[&str]) -> Reported {
    let recipients: Vec<_> = recipients
        .iter()
        .map(|name| (*name, Status::Accepted))
        .collect();
    reported(id, Verdict::Accepted, &recipients)
}

fn taken(recipients: &[&str], content: &str) -> Taken {
    Taken {
        reverse_path: "a@client.example".to_owned(),
        recipients: recipients.iter().map(ToString::to_string).collect(),
        content: content.into(),
        parameters: Vec::new(),
        under_tls: false,
        by_bdat: false,
        said: true,
    }
}

#[track_caller]
fn found(sent: &[Sent], reported: &[Reported], taken: &[&Taken], words: &str) {
    let error = judge(sent, reported, taken).unwrap_err();
    assert!(error.contains(words), "{error}");
}

#[test]
fn a_right_run_passes() {
    let sent = [
        sent(1, &[ANN, BEN], "one"),
        sent(2, &[ANN], "two\n\n.\n"),
        sent(3, &[ANN, BEN], "three"),
        sent(4, &[BEN], "four"),
    ];
    let reported = [
        accepted(1, &[ANN, BEN]),
        reported(2, Verdict::InDoubt, &[(ANN, Status::InDoubt)]),
        reported(
            3,
            Verdict::Accepted,
            &[(ANN, Status::Refused), (BEN, Status::Accepted)],
        ),
        reported(4, Verdict::NotSent, &[(BEN, Status::NotSent)]),
    ];
    // One message may come in parts, by more than one transaction.
    let parts = [
        taken(&[BEN], "one\r\n"),
        taken(&[ANN], "one\r\n"),
        taken(&[ANN], "two\r\n\r\n.\r\n"),
        taken(&[BEN], "three\r\n"),
    ];
    let all: Vec<&Taken> = parts.iter().collect();
    assert_eq!(judge(&sent, &reported, &all), Ok(()));
    let without_doubtful = [all[0], all[1], all[3]];
    assert_eq!(judge(&sent, &reported, &without_doubtful), Ok(()));
}

#[test]
fn each_message_is_reported_once_and_in_order() {
    let sent = [sent(1, &[ANN], "one"), sent(2, &[ANN], "two")];
    let not_sent = |id| reported(id, Verdict::NotSent, &[(ANN, Status::NotSent)]);
    found(&sent, &[not_sent(1)], &[], "message 2 is not reported");
    found(&sent, &[not_sent(2), not_sent(1)], &[], "message 1 is due");
    let swapped = [not_sent(2), not_sent(1)];
    assert_eq!(judge_unordered(&sent, &swapped, &[]), Ok(()));
    let twice = [not_sent(1), not_sent(2), not_sent(1)];
    found(&sent, &twice, &[], "message 1 is reported twice");
    let more = [not_sent(1), not_sent(2), not_sent(3)];
    found(
        &sent,
        &more,
        &[],
        "message 3 is reported, but nobody sent it",
    );
    found(
        &[sent[0].clone(), sent[0].clone()],
        &[not_sent(1), not_sent(2)],
        &[],
        "is due",
    );
}

#[test]
fn each_recipient_is_listed_once_and_in_order() {
    let sent = [sent(1, &[ANN, BEN], "one")];
    for wrong in [&[ANN][..], &[BEN, ANN], &[ANN, BEN, BEN], &[ANN, ANN], &[]] {
        let content = taken(&[ANN, BEN], "one\r\n");
        found(&sent, &[accepted(1, wrong)], &[&content], "lists");
    }
}

#[test]
fn a_message_is_taken_from_its_own_sender() {
    let sent = [sent(1, &[ANN], "one")];
    let mut content = taken(&[ANN], "one\r\n");
    content.reverse_path = "b@client.example".to_owned();
    let words = "of <a@client.example> was taken from <b@client.example>";
    found(&sent, &[accepted(1, &[ANN])], &[&content], words);
}

#[test]
fn a_verdict_fits_its_recipients() {
    let sent = [sent(1, &[ANN, BEN], "one")];
    let report = |verdict, ann, ben| [reported(1, verdict, &[(ANN, ann), (BEN, ben)])];
    for verdict in [Verdict::Rejected, Verdict::NotSent] {
        let doubtful = report(verdict, Status::NotSent, Status::InDoubt);
        found(&sent, &doubtful, &[], "1 of its recipients are in doubt");
    }
    let sure = report(Verdict::InDoubt, Status::NotSent, Status::Refused);
    found(&sent, &sure, &[], "in doubt, but none of its recipients is");
    let doubtful = report(Verdict::InDoubt, Status::NotSent, Status::InDoubt);
    assert_eq!(judge(&sent, &doubtful, &[]), Ok(()));
}

#[test]
fn no_recipient_is_taken_twice() {
    let sent = [sent(1, &[ANN], "one")];
    let content = taken(&[ANN], "one\r\n");
    let words = "more than once";
    found(&sent, &[accepted(1, &[ANN])], &[&content, &content], words);
    let doubtful = reported(1, Verdict::InDoubt, &[(ANN, Status::InDoubt)]);
    assert_eq!(
        judge(&sent, std::slice::from_ref(&doubtful), &[&content]),
        Ok(())
    );
    found(&sent, &[doubtful], &[&content, &content], words);
    let double = taken(&[ANN, ANN], "one\r\n");
    found(&sent, &[accepted(1, &[ANN])], &[&double], words);
}

#[test]
fn what_is_accepted_was_taken() {
    let sent = [sent(1, &[ANN, BEN], "one")];
    let report = [accepted(1, &[ANN, BEN])];
    found(
        &sent,
        &report,
        &[],
        "accepted for ann@server.example, but was not taken",
    );
    let half = taken(&[ANN], "one\r\n");
    found(
        &sent,
        &report,
        &[&half],
        "ben@server.example, but was not taken",
    );
}

#[test]
fn what_is_accepted_was_taken_with_its_content() {
    let report = [accepted(1, &[ANN])];
    for (given, got) in [
        ("a\nb\n", "a\r\nb\r\n"),
        ("a\rb", "a\r\nb\r\n"),
        ("a\r\r\nb\r", "a\r\nb\r\n"),
        ("", "\r\n"),
        ("", ""),
        ("..\n.", "..\r\n.\r\n"),
        ("a", "a"),
    ] {
        let content = taken(&[ANN], got);
        assert_eq!(
            judge(&[sent(1, &[ANN], given)], &report, &[&content]),
            Ok(())
        );
    }
    for (given, got) in [
        ("a\nb\n", "a\r\nb\r\n\r\n"),
        (".\n", "..\r\n"),
        ("..\n", ".\r\n"),
        ("a\n\nb", "a\r\nb"),
        ("a b", "a  b"),
        ("a", ""),
    ] {
        let content = taken(&[ANN], got);
        let words = "a damaged message 1?";
        found(&[sent(1, &[ANN], given)], &report, &[&content], words);
    }
}

#[test]
fn binary_content_is_equal_octet_by_octet() {
    let report = [accepted(1, &[ANN])];
    let sent = [sent(1, &[ANN], "a\nb")];
    let mut content = taken(&[ANN], "a\r\nb\r\n");
    content.by_bdat = true;
    assert_eq!(judge(&sent, &report, &[&content]), Ok(()));
    content.parameters = vec!["BODY=BINARYMIME".to_owned()];
    found(&sent, &report, &[&content], "not octet by octet");
    content.content = b"a\nb".to_vec();
    assert_eq!(judge(&sent, &report, &[&content]), Ok(()));
}

#[test]
fn what_is_refused_or_not_sent_was_not_taken() {
    let sent = [sent(1, &[ANN, BEN], "one")];
    for status in [Status::Refused, Status::NotSent] {
        let report = [reported(
            1,
            Verdict::Accepted,
            &[(ANN, Status::Accepted), (BEN, status)],
        )];
        let right = taken(&[ANN], "one\r\n");
        assert_eq!(judge(&sent, &report, &[&right]), Ok(()));
        let wrong = taken(&[ANN, BEN], "one\r\n");
        let words = format!("reported as {status:?}");
        found(&sent, &report, &[&wrong], &words);
    }
}

#[test]
fn the_verdict_agrees_with_the_recipients() {
    let sent = [sent(1, &[ANN], "one")];
    let content = taken(&[ANN], "one\r\n");
    for verdict in [Verdict::Rejected, Verdict::NotSent] {
        let report = [reported(1, verdict, &[(ANN, Status::Accepted)])];
        found(
            &sent,
            &report,
            &[&content],
            "of its recipients are accepted",
        );
    }
    for status in [Status::Refused, Status::NotSent, Status::InDoubt] {
        let report = [reported(1, Verdict::Accepted, &[(ANN, status)])];
        found(&sent, &report, &[], "none of its recipients is");
    }
}

#[test]
fn all_or_nothing_is_all_or_nothing() {
    let mut message = sent(1, &[ANN, BEN], "one");
    message.all_or_nothing = true;
    let sent = [message];
    let doubtful = [(ANN, Status::InDoubt), (BEN, Status::InDoubt)];
    let report = [reported(1, Verdict::InDoubt, &doubtful)];
    let both = taken(&[ANN, BEN], "one\r\n");
    assert_eq!(judge(&sent, &report, &[&both]), Ok(()));
    assert_eq!(judge(&sent, &report, &[]), Ok(()));
    let half = taken(&[ANN], "one\r\n");
    found(&sent, &report, &[&half], "taken for 1 of 2");
}

#[test]
fn nothing_is_taken_that_nobody_sent() {
    let sent = [sent(1, &[ANN], "one")];
    let report = [accepted(1, &[ANN])];
    let right = taken(&[ANN], "one\r\n");
    let smuggled = taken(&[BEN], "smuggled\r\n");
    found(&sent, &report, &[&right, &smuggled], "nobody sent");
    let other = taken(&[ANN, BEN], "one\r\n");
    found(&sent, &report, &[&other], "not its recipient");
}

#[test]
fn equal_contents_are_assigned_with_care() {
    // The first message that fits the first content is the wrong one.
    let cases = [sent(1, &[ANN, BEN], "same"), sent(2, &[ANN], "same")];
    let report = [
        reported(
            1,
            Verdict::Accepted,
            &[(ANN, Status::InDoubt), (BEN, Status::Accepted)],
        ),
        accepted(2, &[ANN]),
    ];
    let ann = taken(&[ANN], "same\r\n");
    let both = taken(&[ANN, BEN], "same\r\n");
    assert_eq!(judge(&cases, &report, &[&ann, &both]), Ok(()));
    assert_eq!(judge(&cases, &report, &[&both, &ann]), Ok(()));
    found(&cases, &report, &[&both], "no assignment");
    found(&cases, &report, &[&both, &ann, &ann], "no assignment");
    let same = [sent(1, &[ANN], "same"), sent(2, &[ANN], "same")];
    let one = [
        accepted(1, &[ANN]),
        reported(2, Verdict::NotSent, &[(ANN, Status::NotSent)]),
    ];
    assert_eq!(judge(&same, &one, &[&ann]), Ok(()));
    found(&same, &one, &[&ann, &ann], "no assignment");
}
