//! For authors of adapters: the steps that an adapter carries out. Programs that send mail need
//! nothing of it.
//!
//! An adapter gives names, sockets, timers and a clock; what is to be done with them is decided
//! here. Its connection is a [`Line`]: a [`SessionMachine`] and a stream, which a driver moves
//! with a [`Flow`].
//!
//! * **A connection** is reached step by step with [`Dial`]. Each call that waits for something
//!   on it is a [`Call`], which is given the events of the session until there is an answer.
//! * **A transport** shares a [`Dispatch`]. Each send is a [`Sending`], whose [`Step`]s are
//!   carried out one after the other:
//!
//! ```text
//! Message   take the next message of those that are to be sent
//! Wait      sleep until woken, or until a time, which moves with what others do
//! Glance    look whether the server has left an idle connection
//! Open      open a connection
//! Drive     move the octets of the connection in hand until something happens
//! Report    give this report to the caller
//! Done      every message has its report
//! ```
//!
//! Who needs the events of each session, and no pool, carries out the [`BatchStep`]s of a
//! [`Batch`] instead: it says which message goes over which session.
//!
//! A step is a value that borrows the send, and is answered by a method that consumes it. One
//! that is dropped without an answer, as by a future that is dropped, is given again; whoever
//! stops asking says so ([`Sending::pause`], [`Sending::leave`]).

pub use crate::batch::{Batch, BatchStep};
pub use crate::chunk_buffer::ChunkBuffer;
pub use crate::dispatch::{
    Dispatch, Drive, Glance, Line, Message, Open, Sending, ShuttingDown, Step, Wait, verdict,
};
pub use crate::flow::{Flow, Written};
pub use crate::reach::{ATTEMPT_DELAY, ConnectUnix, Dial, DialStep, Resolve};
pub use crate::session::{Answered, Call, Farewell, NextEvent, Ready, SessionMachine, Verdict};
