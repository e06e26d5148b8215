//! The traits of whatever sends mail, so that a program can replace its transport in tests.
//!
//! Knows only what every transport does with a message. Must never know a transport.

use std::pin::Pin;
use std::sync::Arc;

use postwire_proto::{Body, Envelope, Report, SendError};

/// Sends mail and blocks until the verdict: `postwire_blocking::Transport`, or in tests
/// `postwire_testing::RecordingTransport`.
///
/// A program that is generic over `Mailer`, or takes a `&dyn Mailer`, can be tested without a
/// server.
///
/// ```
/// use postwire_transport::Mailer;
/// use postwire_transport::proto::{Envelope, SendError};
///
/// fn welcome(mailer: &dyn Mailer, envelope: &Envelope) -> Result<(), SendError> {
///     mailer.send(envelope, "Subject: welcome\r\n\r\nHello!\r\n".into())?;
///     Ok(())
/// }
/// ```
pub trait Mailer: Send + Sync {
    /// Sends one message and returns the report on it.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report.
    fn send(&self, envelope: &Envelope, body: Body) -> Result<Report, SendError>;
}

/// The future of [`AsyncMailer::send`].
pub type SendFuture<'a> = Pin<Box<dyn Future<Output = Result<Report, SendError>> + Send + 'a>>;

/// Sends mail in an async program: `postwire_tokio::Transport` and those of the other runtimes, or
/// in tests `postwire_testing::RecordingTransport`.
///
/// A program that is generic over `AsyncMailer`, or takes a `&dyn AsyncMailer`, can be tested
/// without a server and without a runtime.
///
/// ```
/// use postwire_transport::AsyncMailer;
/// use postwire_transport::proto::{Envelope, SendError};
///
/// async fn welcome(mailer: &dyn AsyncMailer, envelope: &Envelope) -> Result<(), SendError> {
///     mailer.send(envelope, "Subject: welcome\r\n\r\nHello!\r\n".into()).await?;
///     Ok(())
/// }
/// ```
pub trait AsyncMailer: Send + Sync {
    /// Sends one message. The output of the future is the report on it.
    ///
    /// # Errors
    ///
    /// [`SendError`] if the message is not accepted, or not for every recipient. It contains the
    /// whole report.
    fn send<'a>(&'a self, envelope: &'a Envelope, body: Body) -> SendFuture<'a>;
}

/// Implements both traits for a pointer to a mailer.
macro_rules! implement_for_pointer {
    ($($pointer:ty),+) => {$(
        impl<M: Mailer + ?Sized> Mailer for $pointer {
            fn send(&self, envelope: &Envelope, body: Body) -> Result<Report, SendError> {
                (**self).send(envelope, body)
            }
        }

        impl<M: AsyncMailer + ?Sized> AsyncMailer for $pointer {
            fn send<'a>(&'a self, envelope: &'a Envelope, body: Body) -> SendFuture<'a> {
                (**self).send(envelope, body)
            }
        }
    )+};
}

implement_for_pointer!(&M, Box<M>, Arc<M>);
