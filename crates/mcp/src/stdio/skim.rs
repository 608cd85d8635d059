//! Skim: whose request is a line that cannot be read as a message?
//!
//! Whoever sent it waits for an answer with its id. So the id is looked for in what is left of a line: it may be no JSON, or longer than
//! a message may be. Nothing else of it is read, and nothing is done for it.

use hardtack::mcp::{Id, Message};

/// The most bytes that are kept of a member: an id of 256 bytes, each as an escape of six.
const MAX_KEPT_BYTES: usize = 2048;

/// The longest name of a member that is looked for.
const MAX_NAME_BYTES: usize = 8;

/// Reads a JSON text byte by byte, and keeps two of its members. What it costs does not depend on how long the text is.
#[derive(Debug, Default)]
pub(crate) struct Skimmer {
    depth: usize,
    in_string: bool,
    escaped: bool,
    begun: bool,
    is_object: bool,
    /// The name of the member whose value comes next.
    name: Option<Vec<u8>>,
    /// The text or number that is being read, of the outermost object.
    kept: Vec<u8>,
    is_too_long: bool,
    id: Option<Vec<u8>>,
    method: Option<Vec<u8>>,
    is_answer: bool,
}

/// Who sent a line, as far as can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sender {
    /// The id to be answered; `None` if there is none, or if the line answers a request of the server's.
    pub(crate) id: Option<Id>,
    pub(crate) is_tool_call: bool,
    /// Whether it looks like an answer, to which there is no answer.
    pub(crate) is_answer: bool,
}

impl Skimmer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            match self.in_string {
                true => self.within_string(byte),
                false => self.outside(byte),
            }
        }
    }

    fn within_string(&mut self, byte: u8) {
        self.keep(byte);
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' => self.escaped = true,
            b'"' => {
                self.in_string = false;
                if self.depth == 1 && self.name.is_none() {
                    let within =
                        self.kept.len().checked_sub(1).and_then(|end| self.kept.get(1..end));
                    let name = within.filter(|name| name.len() <= MAX_NAME_BYTES);
                    let name = name.unwrap_or_default().to_vec();
                    // Its value may never end.
                    self.is_answer |= matches!(&*name, b"result" | b"error");
                    self.name = Some(name);
                    self.kept.clear();
                    self.is_too_long = false;
                }
            }
            _ => {}
        }
    }

    fn outside(&mut self, byte: u8) {
        if !self.begun && !byte.is_ascii_whitespace() {
            self.begun = true;
            self.is_object = byte == b'{';
        }
        match byte {
            b'"' => {
                self.in_string = true;
                self.keep(byte);
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                if self.depth == 1 {
                    self.end_of_member();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.depth == 1 => self.end_of_member(),
            b':' if self.depth == 1 => self.kept.clear(),
            _ if byte.is_ascii_whitespace() => {}
            _ => self.keep(byte),
        }
    }

    /// Keeps what stands in the outermost object itself.
    fn keep(&mut self, byte: u8) {
        if self.depth != 1 {
            return;
        }
        match self.kept.len() < MAX_KEPT_BYTES {
            true => self.kept.push(byte),
            false => self.is_too_long = true,
        }
    }

    fn end_of_member(&mut self) {
        let value = std::mem::take(&mut self.kept);
        let value = Some(value).filter(|value| !value.is_empty() && !self.is_too_long);
        self.is_too_long = false;
        match self.name.take().as_deref() {
            // Of two, one reader takes the first.
            Some(b"id") => self.id = self.id.take().or(value),
            Some(b"method") => self.method = self.method.take().or(value),
            _ => {}
        }
    }

    /// What was found. A text that broke off may end within a member.
    pub(crate) fn sender(mut self) -> Sender {
        if self.depth == 1 && !self.in_string {
            self.end_of_member();
        }
        let text = |value: Option<Vec<u8>>| value.and_then(|value| String::from_utf8(value).ok());
        let (id, method) = (text(self.id), text(self.method));
        let is_answer = self.is_object && self.is_answer && method.is_none();
        let id = id.filter(|_| self.is_object && !is_answer);
        let method = method.unwrap_or_else(|| "\"\"".to_owned());
        let found = id.and_then(|id| {
            Message::sender_of(format!(r#"{{"id":{id},"method":{method}}}"#).as_bytes())
                .or_else(|| Message::sender_of(format!(r#"{{"id":{id},"method":""}}"#).as_bytes()))
        });
        let is_tool_call = found.as_ref().is_some_and(|(_, method)| method == "tools/call");
        Sender { id: found.map(|(id, _)| id), is_tool_call, is_answer }
    }
}

/// Who sent this whole line.
pub(crate) fn sender_of(line: &[u8]) -> Sender {
    let mut skimmer = Skimmer::default();
    skimmer.push(line);
    skimmer.sender()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn found(line: &str) -> (Value, bool, bool) {
        let mut bytewise = Skimmer::default();
        line.as_bytes().chunks(1).for_each(|byte| bytewise.push(byte));
        let sender = sender_of(line.as_bytes());
        assert_eq!(bytewise.sender(), sender, "{line}");
        let id = sender.id.map_or(Value::Null, |id| id.to_json());
        (id, sender.is_tool_call, sender.is_answer)
    }

    #[test]
    fn the_id_of_a_request_is_found_wherever_it_stands_and_whatever_is_wrong_with_the_rest() {
        for (line, id, is_tool_call) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"#, json!(7), true),
            (
                r#"{"method":"tools/call","params":{"id":1,"a":[{"id":2}]},"id":"a\"b\u0041"}"#,
                json!("a\"bA"),
                true,
            ),
            (r#"{"params":{"a":"},\"id\":9"} ,, "id" : -3 , "method" : "ping" "#, json!(-3), false),
            (r#"{"id":4"#, json!(4), false),
            (r#"{"id":4,"id":5,"method":3}"#, json!(4), false),
        ] {
            assert_eq!(found(line), (id, is_tool_call, false), "{line}");
        }
    }

    #[test]
    fn what_has_no_id_that_could_be_echoed_has_none() {
        let long = format!(r#"{{"id":"{}","method":"ping"}}"#, "a".repeat(3000));
        for line in [
            "",
            "garbage",
            "{",
            "}}}}{",
            "[{\"id\":1}]",
            "{\"id\":1.5}",
            "{\"id\":[1]}",
            "{\"id\":{\"id\":1}}",
            "\"id\":1",
            "{\"method\":\"id\"}",
            &long,
        ] {
            assert_eq!(found(line).0, Value::Null, "{line}");
        }
    }

    #[test]
    fn an_answer_to_the_server_is_answered_by_nobody() {
        for line in [r#"{"id":1,"result":{"#, r#"{"error":{"code":1},"id":1}"#] {
            assert_eq!(found(line), (Value::Null, false, true), "{line}");
        }
    }

    #[test]
    fn a_long_line_costs_no_more_than_a_short_one() {
        let mut skimmer = Skimmer::default();
        skimmer.push(br#"{"method":"tools/call","params":{"a":""#);
        for _ in 0..1000 {
            skimmer.push(&[b'x'; 10_000]);
        }
        assert!(skimmer.kept.capacity() <= 2 * MAX_KEPT_BYTES);
        skimmer.push(br#""},"id":12}"#);
        assert_eq!(skimmer.sender().id.unwrap().to_json(), json!(12));
    }
}
