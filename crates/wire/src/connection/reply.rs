//! Where an answer goes.

use super::Answer;
use crate::cluster::Lane;
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
    pub answer: Answer,
}

/// Given the answer once.
pub(super) enum Reply {
    Call(Box<dyn FnOnce(Answer) + Send>),
    /// Room in the queue is kept from the moment of asking: an answer always finds it.
    Queue(Asked, OwnedPermit<Answered>),
}

impl Reply {
    pub(super) fn give(self, answer: Answer) {
        match self {
            Self::Call(reply) => reply(answer),
            Self::Queue(to, room) => drop(room.send(Answered { to, answer })),
        }
    }
}
