//! Events of a session that arrive while a call waits for another event.
//!
//! Knows which events a later call may need. Must never know how an adapter waits.

use std::collections::VecDeque;
use std::io;

use postwire_proto::Event;
use postwire_tls::Connection;

/// The maximum number of events that are kept; the oldest are dropped first.
const KEPT: usize = 1_024;

/// Reports and replies that arrived while a call waited for another event. At most 1,024 are
/// kept, the latest ones.
#[derive(Debug, Default)]
pub(super) struct KeptEvents(VecDeque<Event>);

impl KeptEvents {
    /// Keeps an event that a later call may need. A streamed body gets no content while another
    /// call waits, and would block the session, so its message is not sent.
    pub(super) fn keep(&mut self, event: Event, connection: &mut Connection) {
        match event {
            Event::Report(_) | Event::Reply(..) => {
                if self.0.len() >= KEPT {
                    self.0.pop_front();
                }
                self.0.push_back(event);
            }
            Event::BodyWanted(id) => {
                let why = "a streamed body was enqueued, but nothing provides its content: use send_stream, or take the events of the connection";
                // This fails only if the message has its verdict already.
                let _ = connection.body_next(id, Some(Err(io::Error::other(why))));
            }
            _ => {}
        }
    }

    /// Takes the oldest event.
    pub(super) fn take(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}
