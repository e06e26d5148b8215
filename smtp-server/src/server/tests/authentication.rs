//! AUTH (RFC 4954).

use super::*;

fn offering(mechanisms: &[Mechanism]) -> ServerConfig {
    config()
        .auth(mechanisms.iter().copied())
        .auth_in_plaintext(true)
}

fn ehlo(mechanisms: &str) -> String {
    EHLO.replace(
        "S: 250 SIZE 52428800",
        &format!("S: 250-SIZE 52428800\n S: 250 AUTH {mechanisms}"),
    )
}

#[test]
fn plain_with_and_without_initial_response() {
    play(
        offering(&[Mechanism::PLAIN]).require_auth(true),
        &[
            &ehlo("PLAIN"),
            "
            C: MAIL FROM:<a@b.example>
            S: 530 5.7.0 authentication required
            C: AUTH PLAIN AGphbmUAcHc=
            Q: auth PLAIN jane pw
            A: 535 5.7.8 no
            S: 535 5.7.8 no
            C: auth plain
            S: 334 
            C: AGphbmUAcHc=
            Q: auth PLAIN jane pw
            A: yes
            S: 235 2.7.0 authentication successful
            C: AUTH PLAIN AGphbmUAcHc=
            S: 503 5.5.1 authenticated already
            C: RSET
            S: 250 2.0.0 ok
            ",
            ENVELOPE,
            "
            C: BDAT 0 LAST
            Q: message <a@b.example> <c@d.example>  by jane
            A: yes
            S: 250 2.0.0 message accepted
            ",
        ],
    );
}

#[test]
fn login_with_and_without_initial_response() {
    play(
        offering(&[Mechanism::LOGIN]),
        &[
            &ehlo("LOGIN"),
            "
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: amFuZQ==
            S: 334 UGFzc3dvcmQ6
            C: cHc=
            Q: auth LOGIN jane pw
            A: 454 4.7.0 later
            S: 454 4.7.0 later
            C: AUTH LOGIN amFuZQ==
            S: 334 UGFzc3dvcmQ6
            C: cHc=
            Q: auth LOGIN jane pw
            A: yes
            S: 235 2.7.0 authentication successful
            ",
        ],
    );
}

#[test]
fn xoauth2_explains_its_failure() {
    play(
        offering(&[Mechanism::XOAUTH2]),
        &[
            &ehlo("XOAUTH2"),
            "
            C: AUTH XOAUTH2
            S: 334 
            C: dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQBAQ==
            Q: auth XOAUTH2 jane t
            A: 535 5.7.8 expired
            S: 334 eyJzdGF0dXMiOiI0MDEiLCJzY2hlbWVzIjoiYmVhcmVyIn0=
            c: \\r\\n
            S: 535 5.7.8 expired
            C: AUTH XOAUTH2 dXNlcj1qYW5lAWF1dGg9QmVhcmVyIHQBAQ==
            Q: auth XOAUTH2 jane t
            A: yes
            S: 235 2.7.0 authentication successful
            ",
        ],
    );
}

#[test]
fn exchanges_can_be_cancelled_and_fail() {
    let long = format!("C: {}", "A".repeat(12_289));
    play(
        offering(&[Mechanism::PLAIN, Mechanism::LOGIN]),
        &[
            &ehlo("PLAIN LOGIN"),
            "
            C: AUTH PLAIN
            S: 334 
            C: *
            S: 501 5.7.0 authentication cancelled
            C: AUTH PLAIN !
            S: 501 5.5.2 invalid response
            C: AUTH PLAIN =
            S: 501 5.5.2 invalid response
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            C: amFuZQ
            S: 501 5.5.2 invalid response
            C: AUTH PLAIN cm9vdABqYW5lAHB3
            S: 535 5.7.8 acting for another user is not supported
            C: AUTH NTLM
            S: 504 5.5.4 mechanism not offered
            C: AUTH XOAUTH2
            S: 504 5.5.4 mechanism not offered
            C: AUTH
            S: 501 5.5.4 syntax error in the arguments
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            ",
            &long,
            "
            S: 500 5.5.6 authentication exchange line is too long
            C: NOOP
            S: 250 2.0.0 ok
            C: AUTH LOGIN
            S: 334 VXNlcm5hbWU6
            c: amFu\\nZQ==\\r\\n
            S: 500 5.5.2 bare line feed refused, lines end in CRLF
            Q: closed: a bare line feed in a command
            ",
        ],
    );
}

#[test]
fn passwords_are_not_accepted_in_plaintext() {
    play(
        config().auth([Mechanism::PLAIN]),
        &[
            EHLO,
            "
            C: AUTH PLAIN AGphbmUAcHc=
            S: 538 5.7.11 encryption required
            C: AUTH LOGIN
            S: 504 5.5.4 mechanism not offered
            ",
        ],
    );
    play(
        config().auth([Mechanism::EXTERNAL]),
        &[
            EHLO,
            "
            C: AUTH EXTERNAL =
            S: 538 5.7.11 encryption required
            ",
        ],
    );
    let tls = || TlsInfo::new("TLSv1.3", "x");
    play_on(
        || Server::new_tls(Arc::new(config().auth([Mechanism::PLAIN])), tls()),
        &[&ehlo("PLAIN")],
    );
    play(
        config(),
        &[
            EHLO,
            "
            C: AUTH PLAIN
            S: 502 5.5.1 command not implemented
            ",
        ],
    );
}

fn with_nonce(config: ServerConfig) -> impl Fn() -> Server {
    let config = Arc::new(config);
    move || {
        let mut server = Server::new(Arc::clone(&config));
        server.set_nonce(b"sixteen octets!!");
        server
    }
}

#[test]
fn scram_asks_for_the_password_and_proves_that_the_server_knows_it() {
    let mechanisms = [
        Mechanism::SCRAM_SHA_256_PLUS,
        Mechanism::SCRAM_SHA_256,
        Mechanism::PLAIN,
    ];
    let dialogue = "
        C: AUTH SCRAM-SHA-256-PLUS biwsbj1qYW5lLHI9YWJj
        S: 504 5.5.4 mechanism not offered
        C: AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj
        Q: password SCRAM-SHA-256 jane
        A: 535 5.7.8 nobody of that name
        S: 535 5.7.8 nobody of that name
        C: AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj
        Q: password SCRAM-SHA-256 jane
        A: password pencil
        S: 334 cj1hYmNjMmw0ZEdWbGJpQnZZM1JsZEhNaEl3PT0scz1jMmw0ZEdWbGJpQnZZM1JsZEhNaEl3PT0saT00MDk2
        C: Yz1iaXdzLHI9YWJjYzJsNGRHVmxiaUJ2WTNSbGRITWhJdz09LHA9NHJ3NmhNYVFZTjFvcGsxS0xnREZHMzVhNDlydEFsWWpmalpNWnlqYlUraz0=
        S: 535 5.7.8 authentication failed
        C: AUTH SCRAM-SHA-256
        S: 334 
        C: biwsbj1qYW5lLHI9YWJj
        Q: password SCRAM-SHA-256 jane
        A: password pencil
        S: 334 cj1hYmNjMmw0ZEdWbGJpQnZZM1JsZEhNaEpRPT0scz1jMmw0ZEdWbGJpQnZZM1JsZEhNaEpRPT0saT00MDk2
        C: Yz1iaXdzLHI9YWJjYzJsNGRHVmxiaUJ2WTNSbGRITWhKUT09LHA9QU9oL21TNDlhcENLUWpLWEQ1Z3FTRFJoMVFQZHgzQzczV3RZb3NpbWlLVT0=
        S: 334 dj1OdG9sVCtkcFJFZm9BWE1nVk5xNlgyV1NGaElpcHVFRk4vcDlOeEJSM2I0PQ==
        C: dg==
        S: 501 5.5.2 invalid response
        C: AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj
        Q: password SCRAM-SHA-256 jane
        A: password pencil
        S: 334 cj1hYmNjMmw0ZEdWbGJpQnZZM1JsZEhNaEp3PT0scz1jMmw0ZEdWbGJpQnZZM1JsZEhNaEp3PT0saT00MDk2
        C: Yz1iaXdzLHI9YWJjYzJsNGRHVmxiaUJ2WTNSbGRITWhKdz09LHA9dzJ5cHhaM05xTG1ZaEMrRlBza1FyUCtKbmx1OXJsUXpLekc1UXEyTktCUT0=
        S: 334 dj1QTy9zVm5rdVRjN00wUnV2QlU3YVJ3cFRwam55U3paWTZVV29vS2NPVUJzPQ==
        C: 
        S: 235 2.7.0 authentication successful
    ";
    play_on(
        with_nonce(config().auth(mechanisms)),
        &[&ehlo("SCRAM-SHA-256"), dialogue],
    );
}

#[test]
fn without_randomness_scram_is_not_offered() {
    play(
        config().auth([Mechanism::SCRAM_SHA_256]),
        &[
            EHLO,
            "
            C: AUTH SCRAM-SHA-256 biwsbj1qYW5lLHI9YWJj
            S: 504 5.5.4 mechanism not offered
        ",
        ],
    );
}

#[cfg(feature = "cram-md5")]
#[test]
fn cram_md5_asks_for_the_password() {
    let dialogue = "
        C: AUTH CRAM-MD5
        S: 334 PGMybDRkR1ZsYmlCdlkzUmxkSE1oSVE9PUBteC5leGFtcGxlPg==
        C: amFuZSBjNmI4OTQ3NTEzZTIwZjBhMmEyYjIzNjI0ZTBiNDFjYg==
        Q: password CRAM-MD5 jane
        A: password crayon
        S: 535 5.7.8 authentication failed
        C: AUTH CRAM-MD5
        S: 334 PGMybDRkR1ZsYmlCdlkzUmxkSE1oSXc9PUBteC5leGFtcGxlPg==
        C: amFuZSAxYWFjMjkxYzEzMGI0MTU5YjBmYzAyY2VkYTY4NTJiMw==
        Q: password CRAM-MD5 jane
        A: password crayon
        S: 235 2.7.0 authentication successful
    ";
    play_on(
        with_nonce(config().auth([Mechanism::CRAM_MD5])),
        &[&ehlo("CRAM-MD5"), dialogue],
    );
}
