//! Events: a stream of server-sent events (WHATWG HTML, section 9.2), as far as a feed uses it: `data` alone.

/// The most bytes of one event. A checkpoint has some 400.
const MOST_BYTES: usize = 16 << 10;

/// Takes pieces of a stream, and gives the data of each whole event.
#[derive(Debug, Default)]
pub(crate) struct Events {
    line: Vec<u8>,
    data: String,
    has_data: bool,
}

/// An event or a line is too long, or no text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotEvents;

impl Events {
    pub(crate) fn take(&mut self, piece: &[u8]) -> Result<Vec<String>, NotEvents> {
        let mut events = Vec::new();
        for byte in piece {
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > MOST_BYTES {
                    return Err(NotEvents);
                }
                continue;
            }
            let line = std::mem::take(&mut self.line);
            let line = String::from_utf8(line).map_err(|_| NotEvents)?;
            events.extend(self.take_line(line.strip_suffix('\r').unwrap_or(&line))?);
        }
        Ok(events)
    }

    fn take_line(&mut self, line: &str) -> Result<Option<String>, NotEvents> {
        if line.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Ok(std::mem::take(&mut self.has_data).then_some(data));
        }
        if let Some(data) = line.strip_prefix("data:") {
            if self.data.len() + data.len() > MOST_BYTES {
                return Err(NotEvents);
            }
            self.has_data = true;
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            self.data.push('\n');
        }
        Ok(None)
    }
}

/// One event with these lines of data.
pub(crate) fn written(text: &str) -> String {
    let lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    lines.flat_map(|line| ["data: ", line, "\n"]).chain(["\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_however_it_is_cut() {
        let texts = ["one\ntwo\n\nthree\n", "x\n"];
        let stream: String = [&written(texts[0]), ": still here\n\n", &written(texts[1])].concat();
        for size in 1..=stream.len() {
            let mut events = Events::default();
            let pieces = stream.as_bytes().chunks(size);
            let read: Vec<String> = pieces.flat_map(|piece| events.take(piece).unwrap()).collect();
            assert_eq!(read, texts, "{size}");
        }
    }

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        let long = "x".repeat(MOST_BYTES + 1);
        for wrong in [long.as_bytes(), format!("data: {long}\n").as_bytes(), b"data: \xff\n"] {
            assert!(Events::default().take(wrong).is_err());
        }
        let mut events = Events::default();
        let line = format!("data: {}\n", "x".repeat(1000));
        let refused = (0..20).any(|_| events.take(line.as_bytes()).is_err());
        assert!(refused, "an event without end");
    }
}
