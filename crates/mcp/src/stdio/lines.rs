//! Lines: where does one message of a client end and the next begin? Within bounds, however long a line is.

use std::io;

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::body::MAX_MESSAGE_BYTES;
use crate::stdio::skim::{Sender, Skimmer};

/// A line of a client, without its end.
#[derive(Debug)]
pub(crate) enum Line {
    Whole(Vec<u8>),
    /// It has more than [`MAX_MESSAGE_BYTES`], of which nothing was kept but who sent it.
    TooLong(Sender),
}

/// Cuts what a client writes into lines.
#[derive(Debug)]
pub(crate) struct Lines {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    /// What was read and belongs to no line yet.
    rest: Bytes,
    line: Vec<u8>,
    /// In the place of a line that is too long.
    skimmer: Option<Skimmer>,
}

impl Lines {
    pub(crate) fn of(chunks: mpsc::Receiver<io::Result<Bytes>>) -> Lines {
        Lines { chunks, rest: Bytes::new(), line: Vec::new(), skimmer: None }
    }

    /// The next line that has something in it; `None` at the end. It may be given up and called again: nothing is lost.
    pub(crate) async fn next(&mut self) -> Option<Line> {
        loop {
            while !self.rest.is_empty() {
                let end = self.rest.iter().position(|byte| *byte == b'\n');
                let part = self.rest.split_to(end.unwrap_or(self.rest.len()));
                self.push(&part);
                if end.is_some() {
                    self.rest.advance(1);
                    if let Some(line) = self.whole() {
                        return Some(line);
                    }
                }
            }
            match self.chunks.recv().await {
                Some(Ok(chunk)) => self.rest = chunk,
                Some(Err(error)) => {
                    tracing::warn!(%error, "standard input cannot be read any more");
                    return self.whole();
                }
                // What has no end of line may be whole.
                None => return self.whole(),
            }
        }
    }

    fn push(&mut self, part: &[u8]) {
        match &mut self.skimmer {
            Some(skimmer) => skimmer.push(part),
            None if self.line.len() + part.len() <= MAX_MESSAGE_BYTES => {
                self.line.extend_from_slice(part);
            }
            None => {
                let mut skimmer = Skimmer::default();
                skimmer.push(&std::mem::take(&mut self.line));
                skimmer.push(part);
                self.skimmer = Some(skimmer);
            }
        }
    }

    fn whole(&mut self) -> Option<Line> {
        if let Some(skimmer) = self.skimmer.take() {
            return Some(Line::TooLong(skimmer.sender()));
        }
        let mut line = std::mem::take(&mut self.line);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let is_blank = line.iter().all(u8::is_ascii_whitespace);
        (!is_blank).then_some(Line::Whole(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of what comes in chunks of this size.
    async fn lines(text: &[u8], size: usize) -> Vec<Result<String, Sender>> {
        let (sender, chunks) = mpsc::channel(text.len().max(1));
        for chunk in text.chunks(size) {
            sender.send(Ok(Bytes::copy_from_slice(chunk))).await.unwrap();
        }
        drop(sender);
        let (mut lines, mut found) = (Lines::of(chunks), Vec::new());
        while let Some(line) = lines.next().await {
            found.push(match line {
                Line::Whole(line) => Ok(String::from_utf8(line).unwrap()),
                Line::TooLong(sender) => Err(sender),
            });
        }
        found
    }

    #[tokio::test]
    async fn lines_are_told_apart_however_they_arrive() {
        for size in 1..30 {
            let found = lines(b"{\"a\": 1}\r\n\n  \r\n{}\nlast", size).await;
            assert_eq!(found, ["{\"a\": 1}", "{}", "last"].map(|line| Ok(line.to_owned())));
        }
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_not_kept_and_the_next_one_is_read() {
        let mut text = br#"{"id":3,"method":"tools/call","params":{"a":""#.to_vec();
        text.resize(3 * MAX_MESSAGE_BYTES, b'a');
        text.extend_from_slice(b"\"}}\n{\"id\":4}\n");
        let found = lines(&text, 65_536).await;
        let Err(sender) = &found[0] else { panic!("it is too long") };
        assert_eq!(sender.id.as_ref().unwrap().to_json(), 3);
        assert!(sender.is_tool_call);
        assert_eq!(found[1], Ok("{\"id\":4}".to_owned()));
        let whole = vec![b' '; MAX_MESSAGE_BYTES - 1];
        let whole = [&whole[..], b"1"].concat();
        assert!(
            matches!(&lines(&whole, 65_536).await[..], [Ok(line)] if line.len() == MAX_MESSAGE_BYTES)
        );
    }
}
