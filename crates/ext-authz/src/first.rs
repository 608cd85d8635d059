//! First: how long may a connection take until it has said which HTTP it speaks?

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How many bytes are read before the version is known: those with which HTTP/2 begins (RFC 9113, section 3.4). The timers of hyper
/// begin when it is known.
const PREFACE_BYTES: usize = 24;

/// A connection that breaks if its first bytes are not there in time. After them it is as it was.
pub(crate) struct First<S> {
    stream: S,
    /// Until when they must be there; none once they are.
    waiting: Option<Pin<Box<Sleep>>>,
    read: usize,
}

impl<S> First<S> {
    pub(crate) fn within(patience: Duration, stream: S) -> First<S> {
        First { stream, waiting: Some(Box::pin(sleep(patience))), read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for First<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let first = &mut *self;
        let before = buffer.filled().len();
        let polled = Pin::new(&mut first.stream).poll_read(context, buffer);
        let Some(waiting) = &mut first.waiting else { return polled };
        first.read += buffer.filled().len() - before;
        if first.read >= PREFACE_BYTES {
            first.waiting = None;
        } else if polled.is_pending() && waiting.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for First<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
