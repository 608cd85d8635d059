//! SSE: where does one event end and the next begin (WHATWG HTML, "Server-sent events")?
//!
//! Readers differ: some end lines where the standard does not (Python's `str.splitlines`), some do not end them where it
//! does, some look for fields behind a byte order mark or a blank. So a stream is brought into a form that all of them read
//! alike: lines end with a line feed, and each is a comment, one of the four fields of the standard, or blank.

/// The most bytes in one event, and in one JSON answer. A list of a thousand tools has one to four million.
pub(crate) const MAX_EVENT_BYTES: usize = 8 * 1024 * 1024;

/// The fields of the standard; readers ignore any other.
const FIELDS: [&[u8]; 4] = [b"data", b"event", b"id", b"retry"];
const LONGEST_FIELD: usize = 5;

/// What may stand at the beginning of a stream, and is no part of its first line.
const BYTE_ORDER_MARK: [u8; 3] = [0xef, 0xbb, 0xbf];

/// Cuts a stream into events. What a byte costs does not depend on the chunks in which it comes.
#[derive(Debug, Default)]
pub(crate) struct Splitter {
    form: Form,
    buffer: Vec<u8>,
    /// Up to where ends of events were looked for.
    searched: usize,
    /// Behind the last whole event.
    whole: usize,
    /// How many bytes were looked at, for the test that this does not grow with the number of chunks.
    #[cfg(test)]
    looked_at: usize,
}

/// An event that is larger than one may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

impl Splitter {
    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), TooLarge> {
        self.form.write(chunk, &mut self.buffer);
        for at in self.searched..self.buffer.len() {
            if self.buffer[at] == b'\n' && (at == 0 || self.buffer[at - 1] == b'\n') {
                self.whole = at + 1;
            }
        }
        #[cfg(test)]
        {
            self.looked_at += chunk.len() + self.buffer.len() - self.searched;
        }
        self.searched = self.buffer.len();
        if self.buffer.len() - self.whole > MAX_EVENT_BYTES { Err(TooLarge) } else { Ok(()) }
    }

    /// All events that are whole by now, each with the blank line at its end.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        if self.whole == 0 {
            return None;
        }
        let rest = self.buffer.split_off(self.whole);
        (self.searched, self.whole) = (rest.len(), 0);
        Some(std::mem::replace(&mut self.buffer, rest))
    }

    /// What is left when the stream ends. The standard drops it; some readers take it for an event.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        self.form.end(&mut self.buffer);
        (self.searched, self.whole) = (0, 0);
        std::mem::take(&mut self.buffer)
    }

    /// How many bytes wait for the end of their event.
    pub(crate) fn waiting(&self) -> usize {
        self.buffer.len()
    }
}

/// Brings a stream into the form that all readers read alike.
///
/// What ends a line for some readers only cannot stand in JSON outside strings. Inside, U+2028, U+2029 and U+0085 may
/// stand as they are, and are written as escapes, which mean the same; control characters may not, and become blanks.
#[derive(Debug, Default)]
struct Form {
    line: Line,
    /// The beginning of a line, until its field is known.
    field: Vec<u8>,
    /// The beginning of a character that may end a line, or of the mark.
    partial: Vec<u8>,
    begun: bool,
    /// Whether a line feed that comes next belongs to a carriage return.
    after_return: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Its field is not known yet.
    #[default]
    Beginning,
    Passes,
    /// It has a field that is none.
    Dropped,
}

impl Form {
    fn write(&mut self, mut chunk: &[u8], to: &mut Vec<u8>) {
        while let Some(&byte) = chunk.first() {
            if self.line != Line::Beginning && self.partial.is_empty() {
                // Most of a stream is this.
                let plain = chunk.iter().position(|byte| is_special(*byte));
                let (run, rest) = chunk.split_at(plain.unwrap_or(chunk.len()));
                if !run.is_empty() {
                    self.after_return = false;
                    if self.line == Line::Passes {
                        to.extend_from_slice(run);
                    }
                    chunk = rest;
                    continue;
                }
            }
            self.byte(byte, to);
            chunk = &chunk[1..];
        }
    }

    fn byte(&mut self, byte: u8, to: &mut Vec<u8>) {
        self.partial.push(byte);
        let begins = |whole: &[u8]| whole.starts_with(&self.partial);
        if !self.begun && begins(&BYTE_ORDER_MARK) {
            if self.partial.len() == BYTE_ORDER_MARK.len() {
                self.begun = true;
                self.partial.clear();
            }
            return;
        }
        self.begun = true;
        let escaped: &[u8] = match *self.partial {
            [0xe2] | [0xe2, 0x80] | [0xc2] => return,
            [0xe2, 0x80, 0xa8] => br"\u2028",
            [0xe2, 0x80, 0xa9] => br"\u2029",
            [0xc2, 0x85] => br"\u0085",
            [_] => {
                self.partial.clear();
                return self.byte_alone(byte, to);
            }
            // What was thought to be the beginning of something else ends here, and another may begin.
            _ => {
                let partial = std::mem::take(&mut self.partial);
                partial[..partial.len() - 1].iter().for_each(|byte| self.text(*byte, to));
                return self.byte(byte, to);
            }
        };
        self.partial.clear();
        escaped.iter().for_each(|byte| self.text(*byte, to));
    }

    fn byte_alone(&mut self, byte: u8, to: &mut Vec<u8>) {
        match byte {
            b'\n' if self.after_return => self.after_return = false,
            b'\n' => self.end_of_line(to),
            b'\r' => {
                self.end_of_line(to);
                self.after_return = true;
            }
            b'\t' => self.text(byte, to),
            0..0x20 => self.text(b' ', to),
            _ => self.text(byte, to),
        }
    }

    fn text(&mut self, byte: u8, to: &mut Vec<u8>) {
        self.after_return = false;
        match self.line {
            Line::Passes => to.push(byte),
            Line::Dropped => {}
            Line::Beginning if byte == b':' && is_known(&self.field) => {
                to.append(&mut self.field);
                to.push(byte);
                self.line = Line::Passes;
            }
            Line::Beginning if byte == b':' || self.field.len() == LONGEST_FIELD => {
                self.field.clear();
                self.line = Line::Dropped;
            }
            Line::Beginning => self.field.push(byte),
        }
    }

    fn end_of_line(&mut self, to: &mut Vec<u8>) {
        let passes = match self.line {
            Line::Passes => true,
            Line::Dropped => false,
            // A field without a colon has no value; a line without anything ends the event.
            Line::Beginning => is_known(&self.field),
        };
        if passes {
            to.append(&mut self.field);
            to.push(b'\n');
        }
        self.field.clear();
        self.line = Line::Beginning;
    }

    fn end(&mut self, to: &mut Vec<u8>) {
        let partial = std::mem::take(&mut self.partial);
        partial.iter().for_each(|byte| self.text(*byte, to));
        if self.line == Line::Beginning && is_known(&self.field) {
            to.append(&mut self.field);
        }
    }
}

/// What is not simply passed on within a line.
fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == 0xc2 || byte == 0xe2
}

/// A comment has no name.
fn is_known(field: &[u8]) -> bool {
    field.is_empty() || FIELDS.contains(&field)
}

/// The events of what [`Splitter::take`] gives.
pub(crate) fn events(batch: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = batch;
    std::iter::from_fn(move || {
        let end = match rest.first()? {
            b'\n' => 1,
            _ => rest.windows(2).position(|two| two == b"\n\n").map_or(rest.len(), |at| at + 2),
        };
        let event;
        (event, rest) = rest.split_at(end);
        Some(event)
    })
}

/// The data of an event: its `data` lines, joined by line feeds; empty if it has none.
pub(crate) fn data(event: &str) -> String {
    let mut data = String::new();
    for line in event.split('\n').filter_map(data_of_line) {
        data.push_str(line);
        data.push('\n');
    }
    data.pop();
    data
}

/// An event like this one, with other data.
pub(crate) fn with_data(event: &str, data: &str, to: &mut Vec<u8>) {
    for line in event.split('\n').filter(|line| !line.is_empty() && data_of_line(line).is_none()) {
        to.extend_from_slice(line.as_bytes());
        to.push(b'\n');
    }
    for line in data.split('\n') {
        [b"data: ", line.as_bytes(), b"\n"].into_iter().for_each(|part| to.extend_from_slice(part));
    }
    to.push(b'\n');
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

    /// Whatever the chunks, the events are the same.
    fn formed(stream: &[u8], chunk: usize) -> Vec<u8> {
        let mut splitter = Splitter::default();
        let mut formed = Vec::new();
        for part in stream.chunks(chunk) {
            splitter.push(part).unwrap();
            formed.extend(splitter.take().unwrap_or_default());
        }
        formed.extend(splitter.rest());
        formed
    }

    fn text(stream: &str) -> String {
        String::from_utf8(formed(stream.as_bytes(), stream.len().max(1))).unwrap()
    }

    fn with(event: &str, data: &str) -> String {
        let mut written = Vec::new();
        with_data(event, data, &mut written);
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn events_are_told_apart_however_they_arrive() {
        let stream = "\u{feff}id: 1\ndata: {\"a\":\"\u{2028}\u{85}\u{2030}é\u{a0}\"}\n\n: keep-alive\r\n\r\nevent: x\rdata: 1\rdata: 2\r\rdata: 3\n\n\ndata\r";
        for chunk in 1..stream.len() {
            let formed = String::from_utf8(formed(stream.as_bytes(), chunk)).unwrap();
            let data: Vec<String> = events(formed.as_bytes())
                .map(|event| data(std::str::from_utf8(event).unwrap()))
                .collect();
            let expected = [r#"{"a":"\u2028\u0085‰é "}"#, "", "1\n2", "3", "", ""];
            assert_eq!(
                data,
                expected.map(|data| data.replace(' ', "\u{a0}")),
                "in chunks of {chunk}"
            );
            assert_eq!(events(formed.as_bytes()).collect::<Vec<_>>().concat(), formed.as_bytes());
        }
    }

    #[test]
    fn what_already_has_the_form_passes_byte_for_byte() {
        let stream = "id: 1\nevent: message\nretry: 10\ndata: {\"a\": \"é — 漢字 \u{200b}\u{e9}\"}\ndata:\n\n: ping\n\n\n";
        for chunk in 1..stream.len() {
            assert_eq!(formed(stream.as_bytes(), chunk), stream.as_bytes());
        }
    }

    #[test]
    fn no_reader_finds_a_line_where_others_find_none() {
        for ending in
            ["\u{b}", "\u{c}", "\u{1c}", "\u{1d}", "\u{1e}", "\u{85}", "\u{2028}", "\u{2029}", "\0"]
        {
            let formed = text(&format!(": a{ending}data: 1\n\n"));
            // All that Python's `str.splitlines` ends a line at, and NUL.
            let ends = |c: char| {
                matches!(
                    c,
                    '\0' | '\u{b}' | '\u{c}' | '\u{1c}'
                        ..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
                )
            };
            assert!(!formed.contains(ends) && formed.starts_with(": a"), "{ending:?}: {formed:?}");
        }
        // Only a line feed ends a line for some.
        assert_eq!(text("data: {\r\"a\":1}\r\r"), "data: {\n\n");
        // Some look behind blanks and marks, or for parts of names.
        for hidden in
            [" data: 1\n\n", "\u{feff}\u{feff}data: 1\n\n", "x\u{2028}data: 1\n\n", "Data: 1\n\n"]
        {
            assert_eq!(text(hidden), "\n", "{hidden:?}");
        }
        assert_eq!(text("\u{feff}data: 1\n\n"), "data: 1\n\n");
        assert_eq!(text("data: 1\n\n\u{feff}data: 2\n\n"), "data: 1\n\n\n");
    }

    #[test]
    fn bytes_that_are_no_characters_are_kept_as_they_are() {
        for broken in
            [&b"data: \xe2\n\n"[..], b"data: \xe2\x80a\n\n", b"data: \xc2\xe2\x80\xc2\n\n"]
        {
            for chunk in 1..broken.len() {
                assert_eq!(formed(broken, chunk), broken, "in chunks of {chunk}");
            }
        }
        // What follows one that was cut off is looked at for itself.
        assert_eq!(formed(b": \xe2\rdata: 1\n\n", 1), b": \xe2\ndata: 1\n\n");
    }

    #[test]
    fn an_event_that_ends_in_carriage_returns_is_whole_at_once() {
        let mut splitter = Splitter::default();
        splitter.push(b"data: 1\r\r").unwrap();
        assert_eq!(splitter.take().as_deref(), Some(b"data: 1\n\n".as_slice()));
        splitter.push(b"\ndata: 2\n\n").unwrap();
        assert_eq!(splitter.take().as_deref(), Some(b"data: 2\n\n".as_slice()));
    }

    #[test]
    fn only_the_data_is_written_anew() {
        let event = "id: 7\nevent: message\ndata: a\ndata: b\nretry: 10\n\n";
        assert_eq!(with(event, "{}"), "id: 7\nevent: message\nretry: 10\ndata: {}\n\n");
        assert_eq!(data(&with(event, "{\n}")), "{\n}");
    }

    #[test]
    fn an_event_without_end_is_not_kept_for_ever() {
        let mut splitter = Splitter::default();
        splitter.push(b"data: ").unwrap();
        let megabyte = vec![b'x'; 1024 * 1024];
        let refused = (0..64).any(|_| splitter.push(&megabyte) == Err(TooLarge));
        assert!(refused);
    }

    /// How many bytes are looked at until a line of this many is whole.
    fn looked_at(bytes: usize, chunk: usize) -> usize {
        let mut splitter = Splitter::default();
        let line = [b"data: ".as_slice(), &vec![b'x'; bytes], b"\n\n"].concat();
        line.chunks(chunk).for_each(|part| splitter.push(part).unwrap());
        assert!(splitter.take().is_some());
        splitter.looked_at
    }

    #[test]
    fn a_long_line_costs_the_same_in_small_chunks() {
        let whole = looked_at(1024 * 1024, usize::MAX);
        assert!(looked_at(1024 * 1024, 1) <= whole + 1024);
        assert!(looked_at(1024 * 1024, 1400) <= whole + 1024);
    }
}
