//! The transports: lettre's own, with SMTP replaced.

#[cfg(any(feature = "tokio1", feature = "async-std1"))]
pub use lettre::transport::AsyncTransport;
#[cfg(feature = "file-transport")]
pub use lettre::transport::file;
#[cfg(feature = "sendmail-transport")]
pub use lettre::transport::sendmail;
pub use lettre::transport::{Transport, stub};

pub mod smtp {
    //! The SMTP transport of postwire, with the names of lettre's.

    #[cfg(any(feature = "tokio1", feature = "async-std1"))]
    pub use crate::smtp::{AsyncSmtpTransport, AsyncSmtpTransportBuilder};
    pub use crate::smtp::{
        Error, PoolConfig, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT, SmtpTransport,
        SmtpTransportBuilder, authentication, client, extension, response,
    };
}
