//! Without TLS: what is still to come is known to the byte.

use super::Mark;
use crate::transport::Half;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;

/// The reading direction of a connection.
#[derive(Debug)]
pub(crate) struct Plain<'a> {
    half: ReadHalf<'a>,
    due: usize,
    mark: Mark,
}

impl<'a> Plain<'a> {
    pub(crate) fn new(half: ReadHalf<'a>) -> Self {
        Self { half, due: 0, mark: Mark::default() }
    }
}

impl Half for Plain<'_> {
    fn tcp(&self) -> Option<&TcpStream> {
        Some(self.half.as_ref())
    }

    fn wants(&mut self, bytes: usize) {
        self.due = bytes;
    }

    fn will_wait(&mut self) {
        self.mark.set(self.half.as_ref(), self.due);
    }
}

impl AsyncRead for Plain<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.half).poll_read(cx, buf);
        if polled.is_pending() {
            this.will_wait();
        }
        polled
    }
}
