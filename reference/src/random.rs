//! Random dialects: a seed makes the same dialect on every machine.

use crate::{
    dialect::{
        AfterClosing, Bdat, Closing, DataWithoutRecipients, Dialect, Farewell, LmtpFinals,
        Protocol, ReplyFlow, ReplyForm, Rset, SecondGreeting,
    },
    keywords::{Keywords, Mechanism},
    lines::LineEnds,
};

/// The generator `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to, and without, `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// How many deviations [`deviate`] knows.
const DEVIATIONS: usize = 32;

impl Dialect {
    /// A random dialect: random protocol and keywords, and up to four deviations.
    ///
    /// The same seed makes the same dialect everywhere. It never demands
    /// authentication or TLS: a test that has both sets them itself.
    pub fn random(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut dialect = Self {
            keywords: keywords(&mut random),
            ..Self::default()
        };
        if random.one_in(3) {
            dialect.protocol = Protocol::Lmtp;
        }
        if random.one_in(4) {
            dialect.keywords_after_tls = Some(keywords(&mut random));
        }
        if random.one_in(3) {
            dialect.greeting = vec!["server.example".to_owned(), "ready".to_owned()];
        }
        for _ in 0..random.below(5) {
            let which = random.below(DEVIATIONS);
            deviate(&mut dialect, which, &mut random);
        }
        dialect
    }
}

fn keywords(random: &mut Random) -> Keywords {
    let limit = |random: &mut Random| random.one_in(6).then(|| 1 + random.below(4));
    let chunking = !random.one_in(3);
    Keywords {
        pipelining: !random.one_in(3),
        chunking,
        binary_mime: chunking && random.one_in(3),
        eight_bit_mime: !random.one_in(4),
        size: match random.below(4) {
            0 => None,
            1 => Some(200 + random.below(5_000) as u64),
            2 => Some(0),
            _ => Some(10_000_000),
        },
        smtp_utf8: !random.one_in(3),
        dsn: random.one_in(2),
        enhanced_status_codes: random.one_in(2),
        starttls: random.one_in(4),
        auth: match random.below(6) {
            0 => vec![Mechanism::Plain],
            1 => vec![Mechanism::Login],
            2 => vec![Mechanism::Login, Mechanism::Plain],
            _ => Vec::new(),
        },
        rcpt_max: limit(random),
        mail_max: limit(random),
        rcpt_domain_max: limit(random),
    }
}

/// Adds one deviation to a dialect.
fn deviate(dialect: &mut Dialect, which: usize, random: &mut Random) {
    let reply = 1 + random.below(16);
    match which {
        0 => dialect.ehlo_refused = Some(random.pick(&[500, 502, 550])),
        1 => {
            let places = [SecondGreeting::AtOnce, SecondGreeting::AfterTls];
            dialect.second_greeting = Some(random.pick(&places));
        }
        2 => dialect.greeting_refused = Some(random.pick(&[421, 521, 554])),
        3 => dialect.starttls_refused = Some(random.pick(&[454, 502])),
        4 => dialect.nested_mail_replaces = true,
        5 => dialect.too_many_at = Some(1 + random.below(4)),
        6 => {
            let ways = [
                Rset::Refused(500),
                Rset::Refused(502),
                Rset::Refused(421),
                Rset::Forgotten,
            ];
            dialect.rset = random.pick(&ways);
        }
        7 => dialect.data_without_recipients = DataWithoutRecipients::Invited,
        8 => dialect.data_without_recipients = DataWithoutRecipients::Refused(554),
        9 => dialect.data_refused = Some(random.pick(&[451, 554])),
        10 => dialect.failed_content_keeps_transaction = true,
        11 | 12 => {
            let ways = [
                Bdat::Refused,
                Bdat::Unknown,
                Bdat::LaterRefused,
                Bdat::ZeroLastRefused,
                Bdat::LastRefused,
            ];
            dialect.bdat = random.pick(&ways);
            dialect.bdat_refusal = random.pick(&[451, 500, 503, 554]);
        }
        13 => dialect.unread_chunks = true,
        14 => dialect.forgets_behind_dot = true,
        15 => dialect.drops_early_content = true,
        16 => dialect.drops_after_error = true,
        17..=19 => {
            let ways = [
                LineEnds::BareLf,
                LineEnds::BareLfAndCr,
                LineEnds::BareRefused,
            ];
            dialect.line_ends = random.pick(&ways);
        }
        20 | 21 => {
            dialect.protocol = Protocol::Lmtp;
            let ways = [LmtpFinals::OneFewer, LmtpFinals::OneMore, LmtpFinals::One];
            dialect.lmtp_finals = random.pick(&ways);
        }
        22 | 23 => {
            let forms = [
                ReplyForm::CodeOnly,
                ReplyForm::ManyLines(1 + random.below(40)),
                ReplyForm::LongText(400 + random.below(4_000)),
                ReplyForm::LfOnly,
            ];
            dialect.reply_form = random.pick(&forms);
        }
        24 | 25 => {
            let flows = [
                ReplyFlow::OneAtATime,
                ReplyFlow::WithheldAt(reply),
                ReplyFlow::AllWithheld,
            ];
            dialect.reply_flow = random.pick(&flows);
        }
        26 => dialect.disagreeing_reply = Some(reply),
        27 => dialect.surplus_after = Some(reply),
        28 => {
            let ways = [
                AfterClosing::HangUp,
                AfterClosing::Continue,
                AfterClosing::Silence,
            ];
            let then = random.pick(&ways);
            dialect.closing = Some(Closing { reply, then });
        }
        29 => {
            let ways = [Farewell::Taken, Farewell::Dropped];
            dialect.farewell_for_content = Some(random.pick(&ways));
        }
        30 => match random.below(2) {
            0 => dialect.vanish_at = Some(reply),
            _ => dialect.vanish_after_taking = Some(1 + random.below(3)),
        },
        _ => dialect.half_close_at = Some(reply),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut random = Random(1_234_567);
        let first = [random.next(), random.next()];
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]
        );
    }

    #[test]
    fn a_seed_makes_one_dialect_and_seeds_differ() {
        assert_eq!(Dialect::random(7), Dialect::random(7));
        let different = (0..100).filter(|seed| Dialect::random(*seed) != Dialect::random(100));
        assert_eq!(different.count(), 100);
    }

    #[test]
    fn every_deviation_deviates() {
        for which in 0..DEVIATIONS {
            let mut dialect = Dialect::default();
            deviate(&mut dialect, which, &mut Random(3));
            assert_ne!(dialect, Dialect::default(), "{which}");
        }
    }
}
