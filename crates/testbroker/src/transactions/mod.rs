//! The transaction coordinator: a [`transaction`] per transactional id, advanced by the [`coordinator`], aborted by
//! its [`timeout`].

pub(crate) mod coordinator;
pub(crate) mod timeout;
pub(crate) mod transaction;
