//! The transport as what an async program sends mail through: the trait [`AsyncMailer`].

use postwire_transport::proto::{Body, Envelope};
use postwire_transport::{AsyncMailer, SendFuture};

use crate::{Runtime, Transport};

impl<R: Runtime> AsyncMailer for Transport<R> {
    fn send<'a>(&'a self, envelope: &'a Envelope, body: Body) -> SendFuture<'a> {
        Box::pin(Transport::send(self, envelope, body))
    }
}
