//! Envelopes: parameters, limits and LMTP.

use super::*;

#[test]
fn parameters_are_checked_and_passed_on() {
    play(
        config().size(Some(1_000)),
        &[
            &EHLO.replace("52428800", "1000"),
            "
            C: MAIL FROM:<a@b> SIZE=1001
            S: 552 5.3.4 message too large
            C: MAIL FROM:<a@b> SIZE=99999999999999999999
            S: 552 5.3.4 message too large
            C: MAIL FROM:<a@b> SIZE=x
            S: 501 5.5.4 invalid parameter
            C: MAIL FROM:<a@b> BODY=9BIT
            S: 501 5.5.4 invalid parameter
            C: MAIL FROM:<a@b> FROB
            S: 555 5.5.4 parameter not offered
            C: MAIL FROM:<a@b> AUTH=<>
            S: 555 5.5.4 parameter not offered
            C: mail from:<a@b> SIZE=1000 BODY=8BITMIME RET=HDRS
            Q: mail <a@b> SIZE=1000 BODY=8BITMIME RET=HDRS
            A: yes
            S: 250 2.1.0 sender ok
            C: RCPT TO:<c@d> NOTIFY=SOMETIMES
            S: 501 5.5.4 invalid parameter
            C: RCPT TO:<c@d> FROB=1
            S: 555 5.5.4 parameter not offered
            C: RCPT TO:<c@d> NOTIFY=NEVER
            Q: rcpt <c@d> NOTIFY=NEVER
            A: yes
            S: 250 2.1.5 recipient ok
            ",
        ],
    );
}

#[test]
fn parameters_that_are_not_offered_are_refused() {
    play(
        config().eight_bit_mime(false).binary_mime(false).size(None),
        &[
            &EHLO
                .replace("S: 250-8BITMIME\n", "")
                .replace("S: 250-BINARYMIME\n", "")
                .replace("S: 250-ENHANCED", "S: 250 ENHANCED")
                .replace("S: 250 SIZE 52428800\n", ""),
            "
            C: MAIL FROM:<a@b> BODY=8BITMIME
            S: 555 5.5.4 parameter not offered
            C: MAIL FROM:<a@b> SIZE=1
            S: 555 5.5.4 parameter not offered
            ",
        ],
    );
}

#[test]
fn international_addresses_are_declared() {
    play(
        config(),
        &[
            EHLO,
            "
            C: MAIL FROM:<ü@b>
            S: 553 5.6.7 address needs SMTPUTF8
            C: MAIL FROM:<a@b>
            Q: mail <a@b>
            A: yes
            S: 250 2.1.0 sender ok
            C: RCPT TO:<ü@b>
            S: 553 5.6.7 address needs SMTPUTF8
            C: RSET
            S: 250 2.0.0 ok
            C: MAIL FROM:<ü@b> SMTPUTF8
            Q: mail <ü@b> SMTPUTF8
            A: yes
            S: 250 2.1.0 sender ok
            C: RCPT TO:<ü@b>
            Q: rcpt <ü@b>
            A: yes
            S: 250 2.1.5 recipient ok
            ",
        ],
    );
}

#[test]
fn paths_are_parsed() {
    play(
        config(),
        &[
            HELLO,
            "
            C: MAIL FROM: <a@b>
            S: 501 5.5.4 syntax error in the arguments
            C: MAIL FROM:<a>
            S: 501 5.1.7 invalid reverse-path
            C: MAIL FROM:<@x,@y:a@b>
            Q: mail <a@b>
            A: 550 5.1.8 no such domain
            S: 550 5.1.8 no such domain
            C: RCPT TO:<c@d>
            S: 503 5.5.1 MAIL first
            C: MAIL FROM:<>
            Q: mail <>
            A: yes
            S: 250 2.1.0 sender ok
            C: RCPT TO:<>
            S: 501 5.1.3 invalid forward-path
            C: RCPT TO:<postmaster>
            Q: rcpt <postmaster@mx.example>
            A: yes
            S: 250 2.1.5 recipient ok
            ",
        ],
    );
}

#[test]
fn recipients_are_counted() {
    play(
        config().max_recipients(1),
        &[
            HELLO,
            ENVELOPE,
            "
            C: RCPT TO:<e@f>
            S: 452 4.5.3 too many recipients
            C: DATA
            Q: data
            A: 554 5.7.1 on second thoughts
            S: 554 5.7.1 on second thoughts
            C: DATA
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            C: .
            Q: message <a@b.example> <c@d.example> 
            A: yes
            S: 250 2.0.0 message accepted
            C: RCPT TO:<e@f>
            S: 503 5.5.1 MAIL first
            ",
        ],
    );
}

const TWO_RECIPIENTS: &str = "
    C: MAIL FROM:<a@b>
    Q: mail <a@b>
    A: yes
    S: 250 2.1.0 sender ok
    C: RCPT TO:<c@d>
    Q: rcpt <c@d>
    A: yes
    S: 250 2.1.5 recipient ok
    C: RCPT TO:<nobody@d>
    Q: rcpt <nobody@d>
    A: 550 5.1.1 unknown
    S: 550 5.1.1 unknown
    C: RCPT TO:<e@f>
    Q: rcpt <e@f>
    A: yes
    S: 250 2.1.5 recipient ok
";

#[test]
fn lmtp_answers_for_each_recipient() {
    play(
        config().protocol(Protocol::Lmtp),
        &[
            LHLO,
            "
            C: EHLO me
            S: 500 5.5.1 unknown command
            C: HELO me
            S: 500 5.5.1 unknown command
            ",
            TWO_RECIPIENTS,
            "
            c: DATA\\r\\nx\\r\\n.\\r\\nNOOP\\r\\n
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            Q: message <a@b> <c@d>,<e@f> x\\r\\n
            A: yes
            S: 250 2.0.0 message accepted
            A: 452 4.2.2 mailbox full
            S: 452 4.2.2 mailbox full
            S: 250 2.0.0 ok
            ",
            TWO_RECIPIENTS,
            "
            C: BDAT 1 LAST
            c: x
            Q: message <a@b> <c@d>,<e@f> x
            A: 550 no
            S: 550 no
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn lmtp_refuses_for_each_recipient() {
    play(
        config().protocol(Protocol::Lmtp),
        &[
            LHLO,
            TWO_RECIPIENTS,
            "
            C: DATA
            Q: data
            A: yes
            S: 354 end data with <CRLF>.<CRLF>
            c: a\\nb\\r\\n.\\r\\n
            S: 550 5.6.11 bare line feed refused
            S: 550 5.6.11 bare line feed refused
            C: BDAT 0 LAST
            S: 503 5.5.1 MAIL first
            ",
        ],
    );
}

#[test]
fn data_without_recipients_can_be_taken() {
    let talk = "
        C: MAIL FROM:<a@b>
        Q: mail <a@b>
        A: yes
        S: 250 2.1.0 sender ok
        C: DATA
        S: 354 end data with <CRLF>.<CRLF>
        C: .
    ";
    let config = config().data_without_recipients(true);
    play(
        config.clone(),
        &[HELLO, talk, "S: 554 5.5.1 no valid recipients"],
    );
    // RFC 2033 §4.2: in LMTP, DATA must fail.
    let talk = "
        C: MAIL FROM:<a@b>
        Q: mail <a@b>
        A: yes
        S: 250 2.1.0 sender ok
        C: DATA
        S: 503 5.5.1 no valid recipients
    ";
    play(config.protocol(Protocol::Lmtp), &[LHLO, talk]);
}

#[test]
fn promises_are_accepted_where_they_are_offered() {
    let config = config()
        .size(None)
        .deliver_by(Some(60))
        .future_release(Some(3_600))
        .mt_priority(true)
        .requiretls(true)
        .extension("XFOO")
        .max_recipients(9)
        .max_messages(Some(2))
        .declare_limits(true);
    play(
        config,
        &["
            S: 220 mx.example ESMTP ready
            C: EHLO me
            S: 250-mx.example greets me
            S: 250-PIPELINING
            S: 250-CHUNKING
            S: 250-8BITMIME
            S: 250-BINARYMIME
            S: 250-SMTPUTF8
            S: 250-DSN
            S: 250-ENHANCEDSTATUSCODES
            S: 250-MT-PRIORITY
            S: 250-DELIVERBY 60
            S: 250-FUTURERELEASE 3600 9999-12-31T23:59:59Z
            S: 250-LIMITS RCPTMAX=9 MAILMAX=2
            S: 250 XFOO
            C: MAIL FROM:<a@b> BY=59;R
            S: 501 5.5.4 the delivery time is too short
            C: MAIL FROM:<a@b> HOLDFOR=3601
            S: 501 5.5.4 the hold time is too long
            C: MAIL FROM:<a@b> HOLDFOR=1 HOLDUNTIL=2030-01-31T12:00:00Z
            S: 501 5.5.4 invalid parameter
            C: MAIL FROM:<a@b> REQUIRETLS
            S: 555 5.5.4 parameter not offered
            C: MAIL FROM:<a@b> XBAR=1
            S: 555 5.5.4 parameter not offered
            C: MAIL FROM:<a@b> BY=60;R HOLDFOR=3600 MT-PRIORITY=-9 XFOO=bar RET=HDRS
            Q: mail <a@b> BY=60;R HOLDFOR=3600 MT-PRIORITY=-9 XFOO=bar RET=HDRS
            A: yes
            S: 250 2.1.0 sender ok
            C: RCPT TO:<c@d> NOTIFY=SUCCESS,NEVER
            S: 501 5.5.4 invalid parameter
            C: RCPT TO:<c@d> NOTIFY=NEVER ORCPT=rfc822;e@f XFOO
            Q: rcpt <c@d> NOTIFY=NEVER ORCPT=rfc822;e@f XFOO
            A: yes
            S: 250 2.1.5 recipient ok
            C: RSET
            S: 250 2.0.0 ok
            C: MAIL FROM:<>
            Q: mail <>
            A: 550 no
            S: 550 no
            C: MAIL FROM:<>
            S: 421 4.7.0 too many messages in this session, closing
            Q: closed
        "],
    );
}
