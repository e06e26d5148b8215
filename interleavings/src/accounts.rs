//! What each send was given and what it reported, to be judged against what the servers took.

use std::fmt::Write as _;

use postwire_reference::{Protocol, Reported, Taken, Verdict, judge_unordered};
use postwire_transport::proto::{Pipelining, Report};
use postwire_worlds::messages::{Message, number_of, reported, unreported};
use postwire_worlds::oracle::{
    check_offences, describe_dialect, describe_reports, describe_server, is_safe, sent_by,
};

use crate::network::Network;

/// A message that was given to a send.
#[derive(Clone, Debug)]
struct Account {
    message: Message,
    report: Option<Reported>,
    /// The send ended by a panic of the program.
    was_upset: bool,
}

/// All messages of a world.
#[derive(Debug, Default)]
pub struct Accounts {
    all: Vec<Account>,
    abandoned: Vec<Reported>,
}

/// What a schedule came to, to see that the tests reach something.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcomes {
    /// The messages that were given to a send.
    pub messages: usize,
    /// The contents that the servers took.
    pub taken: usize,
    /// The connections.
    pub connections: usize,
    /// The sends that ended by a panic of the program.
    pub upset: usize,
}

impl Accounts {
    /// Adds a message that is given to a send.
    pub fn given(&mut self, message: Message) {
        self.all.push(Account {
            message,
            report: None,
            was_upset: false,
        });
    }

    /// Adds the report on the message with this number.
    ///
    /// # Panics
    ///
    /// If there is no such message, or if it has its report.
    pub fn reported(&mut self, id: usize, report: &Report) {
        let account = self.find(id);
        assert!(account.report.is_none(), "two reports on message {id}");
        account.report = Some(reported(id, report));
    }

    /// Records that the send of this message ended by a panic of the program.
    ///
    /// # Panics
    ///
    /// If there is no such message.
    pub fn upset(&mut self, id: usize) {
        self.find(id).was_upset = true;
    }

    /// Adds reports on messages whose send ended early.
    ///
    /// # Panics
    ///
    /// If a report is about nobody.
    pub fn abandoned(&mut self, reports: &[Report]) {
        for report in reports {
            match number_of(report) {
                Ok(id) => self.abandoned.push(reported(id, report)),
                Err(why) => panic!("{why}"),
            }
        }
    }

    fn find(&mut self, id: usize) -> &mut Account {
        let mut all = self.all.iter_mut();
        let found = all.find(|account| account.message.sent.id == id);
        found.unwrap_or_else(|| panic!("nobody was given message {id}"))
    }

    /// One report for each message.
    fn reports(&self) -> Vec<Reported> {
        let mut reports = self.abandoned.clone();
        for Account {
            message,
            report,
            was_upset,
        } in &self.all
        {
            let sent = &message.sent;
            match report {
                Some(report) => reports.push(report.clone()),
                None if self.abandoned.iter().any(|report| report.id == sent.id) => {}
                // The report may be what was lost.
                None if *was_upset => reports.push(unreported(sent, Verdict::InDoubt)),
                // A message without a trace was not sent.
                None => reports.push(unreported(sent, Verdict::NotSent)),
            }
        }
        reports
    }

    /// Judges the reports by what the servers took.
    ///
    /// # Errors
    ///
    /// What the client did wrong, with the dialogues.
    pub fn verdict(
        &self,
        network: &Network,
        protocol: Protocol,
        pipelining: Pipelining,
    ) -> Result<Outcomes, String> {
        let reports = self.reports();
        let judged = self.judge(&reports, network, protocol, pipelining);
        judged.map_err(|why| {
            let mut text = format!("{why}\n{}", describe_reports(&reports));
            let mut number = 0;
            let described = network.each_server(|recorder, dialect| {
                let _ = writeln!(text, "=== connection {number}");
                text.push_str(&describe_dialect(dialect));
                text.push_str(&describe_server(recorder));
                number += 1;
                Ok(())
            });
            described.err().unwrap_or(text)
        })
    }

    fn judge(
        &self,
        reports: &[Reported],
        network: &Network,
        protocol: Protocol,
        pipelining: Pipelining,
    ) -> Result<Outcomes, String> {
        let given = self.all.iter().map(|account| &account.message.sent);
        let sent = sent_by(given, protocol);
        let mut taken: Vec<Taken> = Vec::new();
        let mut connections = 0;
        network.each_server(|recorder, dialect| {
            debug_assert!(is_safe(dialect, pipelining), "a server that misleads");
            connections += 1;
            taken.extend_from_slice(recorder.taken());
            check_offences(recorder)
        })?;
        judge_unordered(&sent, reports, &taken.iter().collect::<Vec<_>>())?;
        Ok(Outcomes {
            messages: sent.len(),
            taken: taken.len(),
            connections,
            upset: self.all.iter().filter(|account| account.was_upset).count(),
        })
    }
}
