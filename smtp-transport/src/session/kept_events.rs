//! What happens on a session while something else is waited for.
//!
//! Knows what somebody may still ask for. Must never know how anybody waits.

use std::collections::VecDeque;
use std::io;

use postwire_proto::Event;
use postwire_tls::Connection;

/// How many are kept; the oldest go first.
const KEPT: usize = 1_024;

/// Reports and answers that came while an adapter waited for another event, for whoever
/// takes the events next. At most 1,024 are kept, the last ones.
#[derive(Debug, Default)]
pub(super) struct KeptEvents(VecDeque<Event>);

impl KeptEvents {
    /// Keeps what somebody may wait for. A streamed body gets no content meanwhile, and would
    /// hold everything up: its message is not sent.
    pub(super) fn keep(&mut self, event: Event, connection: &mut Connection) {
        match event {
            Event::Report(_) | Event::Reply(..) => {
                if self.0.len() >= KEPT {
                    self.0.pop_front();
                }
                self.0.push_back(event);
            }
            Event::BodyWanted(id) => {
                let why = "its content is given by whoever takes the events, and nobody does";
                // It fails only where the message has its verdict already.
                let _ = connection.body_next(id, Some(Err(io::Error::other(why))));
            }
            _ => {}
        }
    }

    /// Takes the oldest one.
    pub(super) fn take(&mut self) -> Option<Event> {
        self.0.pop_front()
    }
}
