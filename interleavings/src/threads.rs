//! The program of `postwire-blocking`: each thread waits by itself.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use postwire_transport::proto::{Body, Report};
use postwire_transport::{Counters, StreamBody};
use postwire_worlds::cells::RefCell;
use postwire_worlds::messages::Message;

use crate::network::Network;
use crate::world::{Program, World};
use crate::{Transport, upset};

shuttle::lazy_static! {
    /// The servers of the present schedule.
    static ref NETWORK: RefCell<Option<Arc<Network>>> = RefCell::new(None);
}

/// The servers of the present world.
pub(crate) fn network() -> Arc<Network> {
    let network = NETWORK.borrow().clone();
    network.unwrap_or_else(|| unreachable!("a connection without a world"))
}

/// Threads that share a transport.
#[derive(Debug)]
pub struct Threads(Transport);

impl Threads {
    fn send_one(&self, world: &World, message: &Message) {
        let body = Body::from(message.content.clone());
        world.sent(message, self.0.send(&message.envelope, body));
    }

    fn send_stream(&self, world: &World, message: &Message) {
        let content = &message.content;
        let piece = 1 + world.network.below(200);
        let pieces = (0..content.len()).step_by(piece).map(|start| {
            upset::may_unwind();
            let end = content.len().min(start + piece);
            io::Result::Ok(Bytes::copy_from_slice(&content[start..end]))
        });
        let body = StreamBody::new(pieces).eight_bit(!content.is_ascii());
        world.sent(message, self.0.send_stream(&message.envelope, body));
    }

    /// Sends several messages, and leaves early at times.
    fn send_all(&self, world: &World, messages: &[Message]) {
        let all = messages.iter().map(|message| {
            let body = Body::from(message.content.clone());
            (message.envelope.clone(), body)
        });
        let stays = if world.network.once_in(2) {
            messages.len()
        } else {
            world.network.below(messages.len())
        };
        let reports = self.0.send_all(all).take(stays);
        for (message, report) in messages.iter().zip(reports) {
            world.reported(message, &report);
        }
    }
}

impl Program for Threads {
    fn new(world: &World) -> Self {
        *NETWORK.borrow_mut() = Some(Arc::clone(&world.network));
        Self(Transport::from(world.config.clone()))
    }

    fn send(&self, world: &World, messages: &[Message]) {
        match messages {
            [only] if world.network.once_in(6) => self.send_stream(world, only),
            [only] => self.send_one(world, only),
            several => self.send_all(world, several),
        }
    }

    fn clean_up(&self) -> Vec<Report> {
        self.0.close_idle();
        self.0.abandoned()
    }

    fn shut_down(&self) -> Vec<Report> {
        self.0.shutdown()
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}
