//! The transport as what a program sends mail through: the trait [`Mailer`].

use postwire_transport::Mailer;
use postwire_transport::proto::{Body, Envelope, Report, SendError};

use crate::Transport;

impl Mailer for Transport {
    fn send(&self, envelope: &Envelope, body: Body) -> Result<Report, SendError> {
        Transport::send(self, envelope, body)
    }
}
