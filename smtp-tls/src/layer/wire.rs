//! Positions on the wire, the records of the machine's output that end there, and the octets to
//! write, in plaintext or encrypted. Must never know TLS itself.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Positions among all octets that were output, in plaintext and encrypted.
#[derive(Debug, Default)]
pub(super) struct WirePositions {
    pub(super) handed_over: u64,
    /// The position up to which octets are written, if the driver reports writes.
    pub(super) written: Option<u64>,
}

impl WirePositions {
    pub(super) fn is_written(&self) -> bool {
        self.written
            .is_none_or(|written| written >= self.handed_over)
    }
}

/// A record of the machine's output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    /// The position of its end on the wire.
    pub(super) end: u64,
    pub(super) plaintext: u64,
}

/// Takes the oldest record if it ends at or before `position`.
pub(super) fn pop_record_until(records: &mut VecDeque<Record>, position: u64) -> Option<Record> {
    let ended = records.front().is_some_and(|record| record.end <= position);
    if ended { records.pop_front() } else { None }
}

/// The octets to write, in plaintext or encrypted.
pub(super) enum TlsOutput<'a, P, C> {
    Plaintext {
        output: P,
        wire: &'a mut WirePositions,
    },
    Ciphertext(C),
}

impl<P: Buf, C: Buf> Buf for TlsOutput<'_, P, C> {
    fn remaining(&self) -> usize {
        match self {
            Self::Plaintext { output, .. } => output.remaining(),
            Self::Ciphertext(output) => output.remaining(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match self {
            Self::Plaintext { output, .. } => output.chunk(),
            Self::Ciphertext(output) => output.chunk(),
        }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        match self {
            Self::Plaintext { output, .. } => output.chunks_vectored(into),
            Self::Ciphertext(output) => output.chunks_vectored(into),
        }
    }

    fn copy_to_bytes(&mut self, octets: usize) -> Bytes {
        match self {
            Self::Plaintext { output, wire } => {
                let piece = output.copy_to_bytes(octets);
                wire.handed_over += piece.len() as u64;
                piece
            }
            Self::Ciphertext(output) => output.copy_to_bytes(octets),
        }
    }

    fn advance(&mut self, octets: usize) {
        match self {
            Self::Plaintext { output, wire } => {
                let octets = octets.min(output.remaining());
                output.advance(octets);
                wire.handed_over += octets as u64;
            }
            Self::Ciphertext(output) => output.advance(octets),
        }
    }
}
