//! The parameters of `MAIL` and `RCPT` (RFC 5321 §4.1.2) and their extensions.
//!
//! A new extension's parameter is a line in [`mail`] or [`rcpt`]. Must never
//! know the transaction that they belong to.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::answer::{self, Answer};
use super::command::parse_digits;
use super::config::ServerConfig;

/// What a client declares its content to be, with `BODY=`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum BodyDeclaration {
    /// Text of ASCII lines, or nothing was declared.
    #[default]
    SevenBit,
    /// Text with octets above 127: `8BITMIME` (RFC 6152).
    EightBitMime,
    /// Any octets: `BINARYMIME` (RFC 3030 §3).
    BinaryMime,
}

/// What `MAIL` declares.
#[derive(Debug, Default, PartialEq)]
pub(super) struct MailParameters {
    /// `SIZE=` (RFC 1870).
    pub(super) size: Option<u64>,
    /// `BODY=`.
    pub(super) body: BodyDeclaration,
    /// `SMTPUTF8` (RFC 6531).
    pub(super) smtp_utf8: bool,
}

/// Reads the parameters of `MAIL`. Without extensions there are none.
pub(super) fn mail(text: &str, offered: Option<&ServerConfig>) -> Result<MailParameters, Answer> {
    let mut declared = MailParameters::default();
    each(text, offered, |config, keyword, value| {
        match (keyword, value) {
            ("SIZE", Some(value)) if config.size.is_some() => {
                declared.size = Some(octets(value)?);
            }
            ("BODY", Some(value)) if config.eight_bit_mime || config.offers_binary_mime() => {
                declared.body = body(value, config)?;
            }
            ("SMTPUTF8", None) if config.smtp_utf8 => declared.smtp_utf8 = true,
            ("AUTH", Some(_)) if !config.mechanisms.is_empty() => {}
            ("RET", Some(value)) if config.dsn => require(is_one_of(value, &["FULL", "HDRS"]))?,
            ("ENVID", Some(_)) if config.dsn => {}
            _ => return Err(unfit(keyword, &["SIZE", "BODY", "SMTPUTF8", "AUTH", "RET", "ENVID"])),
        }
        Ok(())
    })?;
    Ok(declared)
}

/// Checks the parameters of `RCPT`.
pub(super) fn rcpt(text: &str, offered: Option<&ServerConfig>) -> Result<(), Answer> {
    each(text, offered, |config, keyword, value| match (keyword, value) {
        ("NOTIFY", Some(value)) if config.dsn => require(is_notify(value)),
        ("ORCPT", Some(value)) if config.dsn => require(value.contains(';')),
        _ => Err(unfit(keyword, &[])),
    })
}

/// The parameters as they were given, one by one.
pub(super) fn list(text: &str) -> Vec<String> {
    words(text).map(ToString::to_string).collect()
}

fn words(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split(' ').filter(|word| !word.is_empty())
}
