//! SSE: where does one event end and the next begin (WHATWG HTML, "Server-sent events")?
//!
//! Events pass byte for byte; only one whose data is to be changed is written anew.

use bytes::{Bytes, BytesMut};

/// The most bytes in one event. A list of a thousand tools has one to four million.
pub(crate) const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    buffer: BytesMut,
    /// Up to where there is no end of an event.
    searched: usize,
}

/// An event that is larger than one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Splitter {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), TooLarge> {
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() > 2 * MAX_EVENT_BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// The next whole event, with the blank line at its end.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        let end = self.end()?;
        self.searched = 0;
        Some(self.buffer.split_to(end).freeze())
    }

    /// What is left when the stream ends; readers drop it.
    pub(crate) fn rest(&mut self) -> Bytes {
        self.searched = 0;
        self.buffer.split().freeze()
    }

    /// Behind the first blank line. Lines end with CR LF, LF or CR.
    fn end(&mut self) -> Option<usize> {
        let bytes = &self.buffer;
        let mut line_start = self.searched;
        let mut at = self.searched;
        while at < bytes.len() {
            let ending = match (bytes[at], bytes.get(at + 1)) {
                (b'\n', _) => 1,
                (b'\r', Some(b'\n')) => 2,
                (b'\r', Some(_)) => 1,
                // Behind a blank line a line feed that follows is a blank line of its own.
                (b'\r', None) if at == line_start => 1,
                // Whether one follows is not known yet.
                (b'\r', None) => break,
                _ => 0,
            };
            if ending == 0 {
                at += 1;
                continue;
            }
            if at == line_start {
                return Some(at + ending);
            }
            at += ending;
            line_start = at;
        }
        self.searched = line_start;
        None
    }
}

/// The data of an event: its `data` lines, joined by line feeds; empty if it has none. `None` if it is no UTF-8,
/// which readers take for something else.
pub(crate) fn data(event: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(event).ok()?;
    let lines: Vec<&str> = lines(text).filter_map(data_of_line).collect();
    Some(lines.join("\n"))
}

/// The same event with other data, which is one line.
pub(crate) fn with_data(event: &[u8], data: &str) -> Bytes {
    let text = String::from_utf8_lossy(event);
    let mut written = String::with_capacity(data.len() + 64);
    for line in lines(&text).filter(|line| !line.is_empty() && data_of_line(line).is_none()) {
        written.push_str(line);
        written.push('\n');
    }
    written.push_str("data: ");
    written.push_str(data);
    written.push_str("\n\n");
    Bytes::from(written)
}

/// Without the mark that may stand at the beginning of a stream.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.split("\r\n").flat_map(|part| part.split(['\n', '\r']))
}

fn data_of_line(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("data")?;
    match rest.strip_prefix(':') {
        Some(value) => Some(value.strip_prefix(' ').unwrap_or(value)),
        None => rest.is_empty().then_some(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever the chunks, the events are the same, and nothing is lost.
    fn events(stream: &str, chunk: usize) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut events = Vec::new();
        for part in stream.as_bytes().chunks(chunk) {
            splitter.push(part).unwrap();
            while let Some(event) = splitter.next() {
                events.push(String::from_utf8(event.to_vec()).unwrap());
            }
        }
        events.push(String::from_utf8(splitter.rest().to_vec()).unwrap());
        events
    }

    #[test]
    fn events_are_told_apart_however_they_arrive() {
        let stream = "id: 1\ndata: {\"a\":1}\n\n: keep-alive\r\n\r\nevent: x\rdata: 1\rdata: 2\r\rdata: 3\n\n\n";
        for chunk in 1..stream.len() {
            let events = events(stream, chunk);
            assert_eq!(events.concat(), stream);
            let data: Vec<Option<String>> =
                events.iter().map(|event| data(event.as_bytes())).collect();
            let data = data.iter().flatten().filter(|data| !data.is_empty());
            let data: Vec<&str> = data.map(String::as_str).collect();
            assert_eq!(data, ["{\"a\":1}", "1\n2", "3"], "in chunks of {chunk}");
        }
    }

    #[test]
    fn an_event_that_ends_in_carriage_returns_is_whole_at_once() {
        let mut splitter = Splitter::default();
        splitter.push(b"data: 1\r\r").unwrap();
        assert_eq!(splitter.next().as_deref(), Some(b"data: 1\r\r".as_slice()));
        splitter.push(b"\ndata: 2\n\n").unwrap();
        assert_eq!(splitter.next().as_deref(), Some(b"\n".as_slice()));
        assert_eq!(splitter.next().as_deref(), Some(b"data: 2\n\n".as_slice()));
    }

    #[test]
    fn a_mark_at_the_beginning_is_no_part_of_a_line() {
        let event = "\u{feff}data: {}\n\n".as_bytes();
        assert_eq!(data(event).as_deref(), Some("{}"));
        assert_eq!(&*with_data(event, "1"), b"data: 1\n\n");
    }

    #[test]
    fn only_the_data_is_written_anew() {
        let event = b"id: 7\r\nevent: message\r\ndata: a\r\ndata: b\r\nretry: 10\r\n\r\n";
        let written = with_data(event, "{}");
        assert_eq!(&*written, b"id: 7\nevent: message\nretry: 10\ndata: {}\n\n");
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut splitter = Splitter::default();
        let megabyte = vec![b'x'; 1024 * 1024];
        let refused = (0..64).any(|_| splitter.push(&megabyte) == Err(TooLarge));
        assert!(refused);
    }
}
