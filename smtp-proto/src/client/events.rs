//! What is to be told, in order, until it is polled. Reports and answers are all kept; of the
//! dialogue only the latest lines, so that a caller who never polls holds bounded memory.

use alloc::collections::VecDeque;

use super::trace::TraceLine;
use crate::Event;

/// Two queues, merged by when each entry came: the oldest line of the dialogue is dropped
/// without a search, however many reports stand before it.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    events: VecDeque<(u64, Event)>,
    lines: VecDeque<(u64, TraceLine)>,
    next: u64,
}

impl EventQueue {
    pub(super) fn push_back(&mut self, event: Event) {
        self.events.push_back((self.next, event));
        self.next += 1;
    }

    /// Keeps no more than `most` lines.
    pub(super) fn trace(&mut self, line: TraceLine, most: usize) {
        self.lines.push_back((self.next, line));
        self.next += 1;
        while self.lines.len() > most {
            self.lines.pop_front();
        }
    }

    pub(super) fn pop_front(&mut self) -> Option<Event> {
        let line_is_next = match (self.lines.front(), self.events.front()) {
            (Some((line, _)), Some((event, _))) => line < event,
            (line, _) => line.is_some(),
        };
        if line_is_next {
            let (_, line) = self.lines.pop_front()?;
            Some(Event::Trace(line))
        } else {
            Some(self.events.pop_front()?.1)
        }
    }
}
