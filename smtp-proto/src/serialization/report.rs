//! Reports, replies and errors, for logs and queues. They are not read again: a report is the
//! verdict of a session.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{
    Address, Disposition, Error, ErrorKind, Flaw, Outcome, RecipientReport, RecipientStatus, Reply,
    Report, Stage, escape_non_utf8,
};

/// A reply: its code, its enhanced code, and its lines as text.
#[derive(Serialize)]
struct ReplyFields {
    code: u16,
    enhanced: Option<String>,
    text: Vec<String>,
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReplyFields {
            code: self.code().get(),
            enhanced: self.enhanced().map(|code| code.to_string()),
            text: self.text_lines().map(escape_non_utf8).collect(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    stage: Stage,
    kind: &'a ErrorKind,
    disposition: Disposition,
    flaw: Option<Flaw>,
    reply: Option<&'a Reply>,
    /// The error in one sentence.
    text: String,
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ErrorFields {
            stage: self.stage(),
            kind: self.kind(),
            disposition: self.disposition(),
            flaw: self.flaw(),
            reply: self.reply(),
            text: self.to_string(),
        }
        .serialize(serializer)
    }
}

/// Types whose serialised form is their name.
macro_rules! name {
    ($($name:ident),+) => {
        $(
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    serializer.serialize_str(self.as_str())
                }
            }
        )+
    };
}

name!(ErrorKind, Disposition, Flaw);

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("outcome", self.as_str())?;
        match self {
            Self::Accepted(reply) => map.serialize_entry("reply", reply)?,
            Self::Rejected { stage, reply } => {
                map.serialize_entry("stage", stage)?;
                map.serialize_entry("reply", reply)?;
            }
            Self::NotSent(error) | Self::InDoubt(error) => map.serialize_entry("error", error)?,
        }
        map.end()
    }
}

#[derive(Serialize)]
struct RecipientFields<'a> {
    address: &'a Address,
    status: RecipientStatus,
    reply: Option<&'a Reply>,
}

impl Serialize for RecipientReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RecipientFields {
            address: self.address(),
            status: self.status(),
            reply: self.reply(),
        }
        .serialize(serializer)
    }
}

#[derive(Serialize)]
struct ReportFields<'a> {
    transaction: u64,
    outcome: &'static str,
    /// Whether some recipients were accepted and others were not.
    partial: bool,
    /// Whether to send it again: the `disposition` of an error alone does not say that a message may
    /// have arrived.
    retry: &'static str,
    stage: Option<Stage>,
    reply: Option<&'a Reply>,
    error: Option<&'a Error>,
    recipients: &'a [RecipientReport],
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ReportFields {
            transaction: self.transaction().index(),
            outcome: self.outcome().as_str(),
            partial: self.is_partial(),
            retry: self.retry().as_str(),
            stage: self.stage(),
            reply: self.reply(),
            error: self.error(),
            recipients: self.recipients(),
        }
        .serialize(serializer)
    }
}
