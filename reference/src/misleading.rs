//! The ways in which a dialect misleads a client that follows every RFC. A test uses
//! them to know which rules it can hold against a client.

use crate::{
    dialect::{Bdat, DataWithoutRecipients, Dialect, LmtpFinals, Protocol, Rset},
    keywords::Keywords,
};

/// A way in which a server misleads a client that follows every RFC, and what the
/// client must not do to be safe from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misleading {
    /// A reply that nobody asked for shifts the replies behind it: a surplus reply, a
    /// second greeting, or one LMTP final reply too many. No client is safe from it; one
    /// that closes when a reply comes while none is owed is safer.
    SurplusReply,
    /// An LMTP content gets fewer final replies than it has recipients. A client is safe
    /// if it sends nothing behind a content before all final replies are there.
    MissingReply,
    /// A transaction stays open although it has ended for the client: `RSET` is
    /// forgotten, or a refused content keeps it. A client is safe if it sends no
    /// recipient and no content behind a `MAIL` that is not yet accepted.
    OpenTransaction,
    /// The octets of a refused chunk are executed as commands. A client is safe if it
    /// does not use `BDAT`.
    UnreadChunk,
    /// Pipelined input is dropped, so that replies to later commands answer earlier
    /// ones, and chunks whose `BDAT` is dropped are executed as commands. A client is
    /// safe if it does not pipeline.
    DroppedInput,
    /// A content gets 221. A client is safe if it reports that it cannot know.
    FarewellForContent,
    /// LMTP invites a content for no recipient, and answers it. A client is safe if it
    /// closes the connection then.
    ContentForNobody,
}

impl Dialect {
    /// The ways in which the server misleads a client that follows every RFC.
    ///
    /// Unless a client is safe from each of them, it can report wrongly what became of
    /// a message, or have content executed as commands. A test still demands that the
    /// client ends and reports each message once, but cannot hold the rest of
    /// [`judge`](crate::judge()) against it. Offences count all the same, up to
    /// [`misled_after`](crate::Recorder::misled_after).
    pub fn misleading(&self) -> Vec<Misleading> {
        let offers = |offered: fn(&Keywords) -> bool| {
            offered(&self.keywords) || self.keywords_after_tls.as_ref().is_some_and(offered)
        };
        let chunks = offers(|keywords| keywords.chunking);
        let pipelining = offers(|keywords| keywords.pipelining);
        let is_lmtp = self.protocol == Protocol::Lmtp;
        let is_invited = self.data_without_recipients == DataWithoutRecipients::Invited;
        let ways = [
            (
                self.surplus_after.is_some()
                    || self.second_greeting.is_some()
                    || (is_lmtp && self.lmtp_finals == LmtpFinals::OneMore),
                Misleading::SurplusReply,
            ),
            (
                is_lmtp && matches!(self.lmtp_finals, LmtpFinals::OneFewer | LmtpFinals::One),
                Misleading::MissingReply,
            ),
            (
                self.rset == Rset::Forgotten || self.failed_content_keeps_transaction,
                Misleading::OpenTransaction,
            ),
            (
                chunks && (self.unread_chunks || self.bdat == Bdat::Unknown),
                Misleading::UnreadChunk,
            ),
            (
                pipelining && (self.drops_after_error || self.forgets_behind_dot),
                Misleading::DroppedInput,
            ),
            (
                self.farewell_for_content.is_some(),
                Misleading::FarewellForContent,
            ),
            (is_lmtp && is_invited, Misleading::ContentForNobody),
        ];
        ways.into_iter()
            .filter_map(|(applies, way)| applies.then_some(way))
            .collect()
    }

    /// Whether the server misleads a client in any way.
    pub fn misleads(&self) -> bool {
        !self.misleading().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misleading_dialects_are_named() {
        assert_eq!(Dialect::default().misleading(), []);
        assert_eq!(Dialect::lmtp().misleading(), []);
        let surplus = Dialect {
            surplus_after: Some(1),
            rset: Rset::Forgotten,
            ..Dialect::default()
        };
        let ways = [Misleading::SurplusReply, Misleading::OpenTransaction];
        assert_eq!(surplus.misleading(), ways);
        let unread = Dialect {
            bdat: Bdat::Unknown,
            drops_after_error: true,
            ..Dialect::lmtp()
        };
        let ways = [Misleading::UnreadChunk, Misleading::DroppedInput];
        assert_eq!(unread.misleading(), ways);
        let nobody = Dialect {
            data_without_recipients: DataWithoutRecipients::Invited,
            lmtp_finals: LmtpFinals::One,
            ..Dialect::lmtp()
        };
        let ways = [Misleading::MissingReply, Misleading::ContentForNobody];
        assert_eq!(nobody.misleading(), ways);
    }
}
