//! Verifies a DKIM signature in the form of this example: Ed25519, and `relaxed/relaxed` (RFC 6376
//! §3.4, RFC 8463). Written apart from the library that signs, so that it finds its faults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Returns an error unless the message has a valid signature by this key.
pub(crate) fn verify(message: &[u8], public_key: &str) -> Result<()> {
    let message = std::str::from_utf8(message)?;
    let (header, body) = message.split_once("\r\n\r\n").ok_or("no body")?;
    let fields = fields(header);
    let field = |wanted: &str| {
        let mut matching = fields.iter().rev();
        matching.find(|(name, _)| name == wanted).cloned()
    };
    let (_, signature) = field("dkim-signature").ok_or("no signature")?;
    let tag = |wanted: &str| {
        let tags = signature.split(';').filter_map(|tag| tag.split_once('='));
        let mut values = tags.filter(|(name, _)| name.trim() == wanted);
        let (_, value) = values.next().ok_or_else(|| format!("no tag {wanted}"))?;
        Result::Ok(value.replace(' ', ""))
    };
    if (tag("a")?, tag("c")?) != ("ed25519-sha256".into(), "relaxed/relaxed".into()) {
        return Err("another kind of signature".into());
    }
    if STANDARD.decode(tag("bh")?)? != Sha256::digest(relaxed_body(body)).to_vec() {
        return Err("the body was altered".into());
    }
    let mut hashed = Sha256::new();
    for name in tag("h")?.split(':') {
        let (name, value) = field(&name.to_lowercase()).ok_or("a signed field is missing")?;
        hashed.update(format!("{name}:{value}\r\n"));
    }
    let (unsigned, value) = signature.rsplit_once("b=").ok_or("no tag b")?;
    if value.contains(';') {
        return Err("the tag b is not the last one".into());
    }
    hashed.update(format!("dkim-signature:{unsigned}b="));
    let key: [u8; 32] = STANDARD.decode(public_key)?.as_slice().try_into()?;
    let signature = Signature::from_slice(&STANDARD.decode(tag("b")?)?)?;
    Ok(VerifyingKey::from_bytes(&key)?.verify_strict(&hashed.finalize(), &signature)?)
}

/// The fields in relaxed form (§3.4.2): the name in lower case, the value on one line.
fn fields(header: &str) -> Vec<(String, String)> {
    let unfolded = header.replace("\r\n ", " ").replace("\r\n\t", " ");
    let fields = unfolded
        .split("\r\n")
        .filter_map(|line| line.split_once(':'));
    fields
        .map(|(name, value)| (name.trim_end().to_lowercase(), one_blank(value)))
        .collect()
}

/// The body in relaxed form (§3.4.4).
fn relaxed_body(body: &str) -> String {
    let lines = body.split("\r\n").map(|line| {
        let begins_blank = line.starts_with([' ', '\t']);
        let line = one_blank(line);
        if begins_blank && !line.is_empty() {
            format!(" {line}")
        } else {
            line
        }
    });
    let joined = lines.collect::<Vec<_>>().join("\r\n");
    match joined.trim_end_matches("\r\n") {
        "" => String::new(),
        text => format!("{text}\r\n"),
    }
}

fn one_blank(text: &str) -> String {
    let words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}
