//! Where an answer goes.

use super::{Answer, ConnectionError};
use crate::cluster::Lane;
use crate::fetch::FetchAnswer;
use crate::pipe::Cut;
use crate::primitives::Malformed;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc::OwnedPermit;

/// What the asker knows a request by, where answers of many connections come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// The broker.
    pub node: i32,
    /// The connection to it.
    pub lane: Lane,
    /// The asker's own number for the request.
    pub request: u64,
}

/// An answer in the queue where those of many connections come together.
#[derive(Debug)]
pub struct Answered {
    /// To what.
    pub to: Asked,
    /// The answer, or why there is none.
    pub answer: Reception,
}

/// An answer, or why there is none.
pub type Reception = Result<Received, Arc<ConnectionError>>;

/// The bytes of an answer after its correlation id, but for what was left in the kernel of them.
#[derive(Debug)]
pub struct Received {
    bytes: Bytes,
    cuts: Vec<Cut>,
}

impl Received {
    pub(super) fn cut(bytes: Bytes, cuts: Vec<Cut>) -> Self {
        Self { bytes, cuts }
    }

    /// The bytes in memory.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Decodes the answer to a Fetch request of `version`.
    ///
    /// # Errors
    /// When it is not such an answer.
    pub fn into_fetched(self, version: i16) -> Result<FetchAnswer, Malformed> {
        FetchAnswer::decode_cut(version, &self.bytes, self.cuts)
    }
}

/// Where the payloads of a Fetch answer's large batches go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// Into memory, as all else.
    InMemory,
    /// They are left in the kernel, where the connection and the system can do that.
    InKernel,
}

/// Given the answer once.
pub(super) enum Reply {
    Call(Box<dyn FnOnce(Answer) + Send>),
    /// Room in the queue is kept from the moment of asking: an answer always finds it.
    Queue(Asked, OwnedPermit<Answered>),
}

impl Reply {
    pub(super) fn give(self, answer: Reception) {
        match self {
            Self::Call(reply) => reply(answer.map(|received| received.bytes)),
            Self::Queue(to, room) => drop(room.send(Answered { to, answer })),
        }
    }
}
