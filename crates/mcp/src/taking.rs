//! Taking: does a client take what it is sent? A timeout with a least rate, against slow readers.
//!
//! What it does not take is held for it. A client that takes too little for too long is cut.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may take less than [`LEAST_BYTES`] while more waits for it: as long as it may take to send a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a client takes in that time at the least: two kilobytes a second, which any line can.
const LEAST_BYTES: usize = 64 * 1024;

/// A connection that breaks if its other end does not take what is written.
#[derive(Debug)]
pub(crate) struct Taking<S> {
    stream: S,
    timeout: Duration,
    /// While something waits: until when so much must have been taken, and how much was.
    waiting: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Taking<S> {
    pub(crate) fn new(stream: S) -> Taking<S> {
        Taking { stream, timeout: TIMEOUT, waiting: None }
    }

    /// What becomes of a write; begins to wait with the first one that must.
    fn decide(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => {
                if let Some((until, taken)) = &mut self.waiting {
                    *taken += bytes;
                    if *taken >= LEAST_BYTES {
                        until.as_mut().reset(Instant::now() + self.timeout);
                        *taken = 0;
                    }
                }
                written
            }
            Poll::Ready(Err(_)) => written,
            Poll::Pending => {
                let timeout = self.timeout;
                let waiting = self.waiting.get_or_insert_with(|| (Box::pin(sleep(timeout)), 0));
                match waiting.0.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.decide(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.decide(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Comes when all was written: nothing waits any more.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.waiting = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn pair() -> (Taking<DuplexStream>, DuplexStream) {
        let (ours, theirs) = duplex(1024);
        (Taking { stream: ours, timeout: SHORT, waiting: None }, theirs)
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_or_a_byte_at_a_time_is_cut() {
        let (mut ours, theirs) = pair();
        let error = ours.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);
        let (mut ours, mut theirs) = pair();
        let trickle = tokio::spawn(async move {
            while theirs.read_u8().await.is_ok() {
                tokio::time::sleep(SHORT / 20).await;
            }
        });
        let error = ours.write_all(&[0; 1024 * 1024]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(ours);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_takes_its_time_between_answers_is_not_cut() {
        let (mut ours, mut theirs) = pair();
        let reading = tokio::spawn(async move {
            let mut taken = vec![0; 4096];
            for _ in 0..3 {
                tokio::time::sleep(SHORT / 2).await;
                theirs.read_exact(&mut taken).await.unwrap();
            }
        });
        for _ in 0..3 {
            ours.write_all(&[0; 4096]).await.unwrap();
            ours.flush().await.unwrap();
            // Nothing waits meanwhile.
            tokio::time::sleep(SHORT * 2).await;
        }
        reading.await.unwrap();
    }
}
