//! Reads one JSON array a line, `["hardtack_path", "/srv/data", "/srv/data/a"]`, and writes what the function says of the text:
//! `yes`, `no`, or `unclear`.

use std::io::{BufRead, BufWriter, Write};

use hardtack::internal::Function;

#[allow(clippy::disallowed_methods, reason = "this program is no part of the command")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let (name, operand, text): (String, String, String) = serde_json::from_str(&line?)?;
        let function = Function::named(&name).ok_or("no such function")?;
        function.check_operand(&operand)?;
        let said = match function.judge(&text, &operand) {
            Some(true) => "yes",
            Some(false) => "no",
            None => "unclear",
        };
        writeln!(out, "{said}")?;
    }
    Ok(out.flush()?)
}
