//! The adapter for compio, by completions and by readiness: the tests of every adapter, and its own.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod cancellation;
mod executor;
mod runtimes;
mod scenarios;
mod stream;
