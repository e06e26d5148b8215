//! Compares the content of the mailboxes with the messages that were sent.
//!
//! Knows the users. Must never know how a message was transferred.

use std::io;
use std::path::Path;

use postwire_blocking::proto::{RecipientStatus, Report};

use crate::bodies;
use crate::maildir::{self, Maildir};
use crate::table::Octets;

/// The Maildirs of a server, read as mail arrives.
#[derive(Debug)]
pub(crate) struct Mailboxes(Vec<(&'static str, Maildir)>);

/// A message that was sent, and the users who must have it.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    octets: &'a [u8],
    /// The content that the server must have stored.
    stored: Vec<u8>,
    users: Vec<&'a str>,
}

impl<'a> Delivery<'a> {
    /// A delivery to the users who have the message according to this report.
    pub(crate) fn new(octets: &'a [u8], report: &'a Report) -> Self {
        let recipients = report.recipients().iter();
        let accepted = recipients.filter(|r| r.status() == RecipientStatus::Accepted);
        Self::to(octets, accepted.map(|r| r.address().user()).collect())
    }

    /// A delivery to these users.
    pub(crate) fn to(octets: &'a [u8], users: Vec<&'a str>) -> Self {
        Self {
            octets,
            stored: bodies::stored_form(octets),
            users,
        }
    }

    /// For a server that stores line ends as received.
    pub(crate) fn with_its_line_ends(mut self) -> Self {
        self.stored = self.octets.to_vec();
        self
    }

    /// For BDAT, with a server that adds no line end to the last line.
    pub(crate) fn chunked(mut self) -> Self {
        self.stored = bodies::chunked_form(self.octets);
        self
    }
}

impl Mailboxes {
    /// Opens the Maildirs and skips their present content.
    pub(crate) fn open(folder: &Path, users: &[&'static str]) -> io::Result<Self> {
        Self::open_by(Maildir::open, folder, users)
    }

    /// Opens the mailboxes of Cyrus.
    pub(crate) fn open_cyrus(folder: &Path, users: &[&'static str]) -> io::Result<Self> {
        Self::open_by(Maildir::open_cyrus, folder, users)
    }

    fn open_by(
        open: impl Fn(&Path) -> io::Result<Maildir>,
        folder: &Path,
        users: &[&'static str],
    ) -> io::Result<Self> {
        let open = |user: &&'static str| Ok((*user, open(&folder.join(user))?));
        users.iter().map(open).collect::<io::Result<_>>().map(Self)
    }

    /// The number of files that arrived and were not compared.
    pub(crate) fn surplus(&mut self) -> io::Result<usize> {
        let mut files = 0;
        for (_, mailbox) in &mut self.0 {
            files += mailbox.unseen()?.len();
        }
        Ok(files)
    }

    /// Waits for the next file for this user, which must be a single one.
    pub(crate) fn next(&mut self, user: &str) -> io::Result<Vec<u8>> {
        let (_, mailbox) = self.of(user)?;
        let mut files = mailbox.wait_for(1)?;
        match (files.pop(), files.len()) {
            (Some(file), 0) => Ok(file),
            (_, others) => {
                let why = format!("not one file came for {user}, and {others} others");
                Err(io::Error::other(why))
            }
        }
    }

    /// Waits until as many files have arrived as were sent, and compares each octet.
    pub(crate) fn compare(&mut self, deliveries: &[Delivery<'_>]) -> io::Result<Octets> {
        let mut equal = 0;
        for (user, mailbox) in &mut self.0 {
            match compare(user, mailbox, deliveries)? {
                Octets::Equal(count) => equal += count,
                Octets::Nothing => {}
                differ @ Octets::Differ(_) => return Ok(differ),
            }
        }
        Ok(all_equal(equal))
    }

    /// Compares the files of one user, whatever the others get meanwhile.
    pub(crate) fn compare_for(
        &mut self,
        user: &str,
        deliveries: &[Delivery<'_>],
    ) -> io::Result<Octets> {
        let (name, mailbox) = self.of(user)?;
        compare(name, mailbox, deliveries)
    }

    fn of(&mut self, user: &str) -> io::Result<(&'static str, &mut Maildir)> {
        let mailbox = self.0.iter_mut().find(|(name, _)| *name == user);
        let (name, mailbox) = mailbox.ok_or(io::ErrorKind::NotFound)?;
        Ok((name, mailbox))
    }
}

fn compare(user: &str, mailbox: &mut Maildir, deliveries: &[Delivery<'_>]) -> io::Result<Octets> {
    let accepted = deliveries
        .iter()
        .filter(|delivery| delivery.users.contains(&user));
    let accepted: Vec<&Delivery<'_>> = accepted.collect();
    let mut files = mailbox.wait_for(accepted.len())?;
    for delivery in &accepted {
        let same =
            |file: &Vec<u8>| maildir::without_trace(file, delivery.octets) == delivery.stored;
        let Some(position) = files.iter().position(same) else {
            let count = files.len();
            return Ok(Octets::Differ(format!(
                "none of {count} files for {user} holds it"
            )));
        };
        files.swap_remove(position);
    }
    if !files.is_empty() {
        let count = files.len();
        return Ok(Octets::Differ(format!("{count} files too many for {user}")));
    }
    Ok(all_equal(accepted.len()))
}

fn all_equal(count: usize) -> Octets {
    match count {
        0 => Octets::Nothing,
        count => Octets::Equal(count),
    }
}
