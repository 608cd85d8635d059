//! Upstream: a server behind, on a thread, until the test ends.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

/// One that answers every request with the same result, and its address.
pub fn upstream() -> String {
    answering(|stream, _| answer(stream, "", "found"))
}

/// One that answers with the head that it was sent.
pub fn echo() -> String {
    answering(|stream, head| answer(stream, "", head))
}

/// One that answers each request by this, which is given its head; without an answer, the connection ends.
pub fn answering(by: impl Fn(&TcpStream, &str) -> Option<()> + Clone + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let by = by.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                while let Some((head, length)) = head(&mut reader) {
                    let body = reader.read_exact(&mut vec![0; length]);
                    if body.is_err() || by(&stream, &head).is_none() {
                        return;
                    }
                }
            });
        }
    });
    url
}

/// Answers with a tool's result that has this text, under these headers besides, each with its line break.
pub fn answer(mut stream: &TcpStream, headers: &str, text: &str) -> Option<()> {
    let content = json!([{"type": "text", "text": text}]);
    let body = json!({"jsonrpc": "2.0", "id": 7, "result": {"content": content}}).to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).ok()
}

/// The head of a request or an answer, and how long its body is; nothing at the end.
pub fn head(reader: &mut impl BufRead) -> Option<(String, usize)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        head += &line;
        if line == "\r\n" {
            return Some((head, length));
        }
    }
}
