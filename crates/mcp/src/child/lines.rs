//! Lines: what does a server's process write, line by line, if it may write anything?

use std::io;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::time::{Duration, Instant};

/// How many lines of a server stand in the log in a burst, and in a second: enough for a trace of an error, and too few to bury what
/// others write.
const BURST: u32 = 100;
const LINES_PER_SECOND: u32 = 10;

/// How much of a line stands in the log: what a terminal shows on some lines of its own.
pub(crate) const MAX_LOGGED_BYTES: usize = 1024;

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Whole(Vec<u8>),
    /// It is longer than one may be. This is its beginning.
    TooLong(Vec<u8>),
}

/// Reads lines of at most so many bytes; the rest of a longer one is passed over, and never held.
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    most: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn of(reader: R, most: usize) -> Lines<R> {
        Lines { reader: BufReader::new(reader), most }
    }

    /// The next line; `None` after the last one.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        let (mut line, mut is_long, mut any) = (Vec::new(), false, false);
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(any.then(|| finished(line, is_long)));
            }
            any = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = self.most - line.len();
            is_long |= part.len() > room;
            line.extend_from_slice(&part[..part.len().min(room)]);
            if is_long {
                // Nobody reads more of it than what a log shows.
                line.truncate(MAX_LOGGED_BYTES.min(self.most));
                line.shrink_to_fit();
            }
            let taken = part.len() + usize::from(end.is_some());
            self.reader.consume(taken);
            if end.is_some() {
                return Ok(Some(finished(line, is_long)));
            }
        }
    }
}

fn finished(mut line: Vec<u8>, is_long: bool) -> Line {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    match is_long {
        true => Line::TooLong(line),
        false => Line::Whole(line),
    }
}

/// What a log can hold of what a server wrote: its beginning, and nothing that does not print.
pub(crate) fn shown(line: &[u8]) -> String {
    let beginning = &line[..line.len().min(MAX_LOGGED_BYTES)];
    hardtack::names::escaped(&String::from_utf8_lossy(beginning))
}

/// Says how many lines of one server may be logged (token bucket).
#[derive(Debug)]
pub(crate) struct Throttle {
    left: u32,
    since: Instant,
    left_out: u64,
}

impl Throttle {
    pub(crate) fn new() -> Throttle {
        Throttle { left: BURST, since: Instant::now(), left_out: 0 }
    }

    /// How many were left out before, if the next may be logged.
    pub(crate) fn admit(&mut self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.since);
        let more = passed.as_millis() * u128::from(LINES_PER_SECOND) / 1000;
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(BURST)).min(BURST);
            self.since += Duration::from_millis(
                u64::try_from(more * 1000 / u128::from(LINES_PER_SECOND)).unwrap_or_default(),
            );
        }
        if self.left == 0 {
            self.left_out += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_up_to_their_bound_and_longer_ones_are_passed_over() {
        let text = b"one\r\n\ntwelve bytes\nthirteen bytes\n1234567890123456789012345678901234567890\nlast";
        let mut lines = Lines::of(&text[..], 12);
        let mut read = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            read.push(line);
        }
        let whole = |text: &str| Line::Whole(text.into());
        let long = |text: &str| Line::TooLong(text.into());
        let expected = [
            whole("one"),
            whole(""),
            whole("twelve bytes"),
            long("thirteen byt"),
            long("123456789012"),
            whole("last"),
        ];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_flood_is_logged_in_part_and_what_is_left_out_is_counted() {
        let mut throttle = Throttle::new();
        let begun = throttle.since;
        let mut flood = |at| (0..1000).filter_map(|_| throttle.admit_at(at)).collect::<Vec<u64>>();
        assert_eq!(flood(begun), [0; BURST as usize]);
        let mut expected = [0; LINES_PER_SECOND as usize];
        expected[0] = 1000 - u64::from(BURST);
        assert_eq!(flood(begun + Duration::from_secs(1)), expected);
        assert_eq!(flood(begun + Duration::from_secs(3600)).len(), BURST as usize);
    }

    #[test]
    fn what_is_shown_has_no_control_characters() {
        assert!(!shown(b"\x1b[31mred\x07\xff").contains(['\x1b', '\x07']));
        assert!(shown(&[b'a'; 5000]).len() <= MAX_LOGGED_BYTES);
    }
}
