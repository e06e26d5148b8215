//! The steps that an adapter executes. For authors of adapters; programs that send mail do not
//! need this module.
//!
//! An adapter provides a resolver, sockets, timers and a clock. This module decides what to do with
//! them. The connection of an adapter is a [`Line`]: a [`SessionMachine`] and a stream, which a
//! driver moves with a [`Flow`].
//!
//! * **A connection** is opened step by step with [`Dial`]. Each method that waits is a [`Call`],
//!   which takes the events of the session until it has its answer.
//! * **A transport** shares a [`Dispatch`]. Each send is a [`Sending`], whose [`Step`]s the adapter
//!   executes one after the other:
//!
//! ```text
//! Message   take the next message to send
//! Wait      sleep until woken, or until a time, which may change
//! Glance    check whether the server has closed an idle connection
//! Open      open a connection
//! Drive     move the octets of the connection until an event occurs
//! Report    return this report to the caller
//! Done      every message has its report
//! ```
//!
//! An adapter that needs the events of each session, and no pool, executes the [`BatchStep`]s of a
//! [`Batch`] instead, which decides which message is sent over which session.
//!
//! A step is a value that borrows the send. A method that consumes the step answers it. If a step
//! is dropped without an answer (for example, because a future is dropped), the send returns it
//! again. An adapter that stops executing steps calls [`Sending::pause`] or [`Sending::leave`].

pub use crate::batch::{Batch, BatchStep};
pub use crate::chunk_buffer::ChunkBuffer;
pub use crate::dispatch::{
    Dispatch, Drive, Glance, Line, Message, Open, Sending, ShuttingDown, Step, Wait, WhenBlocked,
    verdict,
};
pub use crate::flow::{Flow, Move};
pub use crate::reach::{ATTEMPT_DELAY, ConnectUnix, Dial, DialStep, Resolve};
pub use crate::session::{Answered, Call, Farewell, NextEvent, Ready, SessionMachine, Verdict};
pub use crate::source::{Chunks, chunks};
