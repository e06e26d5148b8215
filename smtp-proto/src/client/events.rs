//! The queue of events that wait to be polled, in order.
//!
//! Keeps all reports and replies. Of the dialogue it keeps only the latest lines, so that the
//! memory for the trace is bounded if the caller never polls.

use alloc::collections::VecDeque;

use super::trace::TraceLine;
use crate::Event;

/// Two queues, merged by the order of arrival, so that the oldest line of the dialogue can be
/// dropped without a search.
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

    /// Adds a line of the dialogue and keeps the latest `most` lines.
    pub(super) fn trace(&mut self, line: TraceLine, most: usize) {
        self.lines.push_back((self.next, line));
        self.next += 1;
        while self.lines.len() > most {
            self.lines.pop_front();
        }
    }

    pub(super) fn release_memory(&mut self) {
        self.events.shrink_to_fit();
        self.lines.shrink_to_fit();
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

#[cfg(test)]
mod tests {
    use alloc::string::String;

    use super::*;
    use crate::Speaker;

    #[test]
    fn events_and_lines_come_in_the_order_of_their_arrival() {
        let line = |text| TraceLine::new(Speaker::Client, text);
        let mut queue = EventQueue::default();
        queue.trace(line("EHLO"), 9);
        queue.push_back(Event::Ready);
        queue.push_back(Event::Closed(None));
        queue.trace(line("MAIL"), 9);
        queue.trace(line("QUIT"), 9);
        queue.push_back(Event::Ready);
        let order = core::iter::from_fn(|| queue.pop_front()).map(|event| match event {
            Event::Trace(_) => 't',
            Event::Closed(_) => 'c',
            _ => 'r',
        });
        assert_eq!(order.collect::<String>(), "trcttr");
    }
}
