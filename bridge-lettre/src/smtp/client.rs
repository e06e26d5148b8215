//! TLS: postwire's types, which have the names of lettre's.
//!
//! Three names differ: `min_tls_version` (lettre: `set_min_tls_version`), [`TlsVersion::Tls12`] and
//! [`TlsVersion::Tls13`] (`Tlsv12`, `Tlsv13`).
//!
//! ```no_run
//! use postwire_lettre::SmtpTransport;
//! use postwire_lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let certificate = Certificate::from_pem(&std::fs::read("self-signed.crt")?)?;
//! let tls = TlsParameters::builder("mail.example.org".to_owned())
//!     .add_root_certificate(certificate)
//!     .build()?;
//! let mailer = SmtpTransport::relay("mail.example.org")?
//!     .tls(Tls::Wrapper(tls))
//!     .build();
//! # Ok(())
//! # }
//! ```

pub use postwire_blocking::tls::{
    Certificate, CertificateStore, Identity, Tls, TlsParameters, TlsParametersBuilder, TlsVersion,
};
