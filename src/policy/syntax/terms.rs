//! Terms: the values and variables of a statement, as they are written.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::parse::{Read, Reader, Stuck};
use super::tree::{Span, Term, Value};

impl Reader<'_> {
    pub(super) fn term(&mut self) -> Read<Term> {
        self.space();
        let start = self.at;
        let value = self.value()?;
        Ok(Term { value, span: Span { start, end: self.at } })
    }

    fn value(&mut self) -> Read<Value> {
        if let Some(date) = self.date() {
            return Ok(date);
        }
        match self.rest().chars().next().ok_or(Stuck)? {
            '"' => self.string().map(Value::Text),
            '$' => {
                self.at += 1;
                self.name().map(Value::Variable)
            }
            '[' => {
                self.at += 1;
                self.deeper(Self::array).map(Value::Array)
            }
            '{' => self.deeper(Self::braces),
            c if c == '-' || c.is_ascii_digit() => self.integer(),
            _ => self.word(),
        }
    }

    fn date(&mut self) -> Option<Value> {
        let rest = Some(self.rest()).filter(|rest| begins_a_date(rest))?;
        let end = rest.find([',', ' ', ')', ']', ';', '}']).unwrap_or(rest.len());
        let text = rest.get(..end)?;
        let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?.unix_timestamp();
        let moment = u64::try_from(moment).ok()?;
        self.at += end;
        Some(Value::Date(moment))
    }

    fn integer(&mut self) -> Read<Value> {
        let rest = self.rest();
        let digits = rest.strip_prefix('-').unwrap_or(rest);
        let sign = rest.len() - digits.len();
        let count = digits.len() - digits.trim_start_matches(is_digit).len();
        let number = rest.get(..sign + count).ok_or(Stuck)?.parse().map_err(|_| Stuck)?;
        self.at += sign + count;
        Ok(Value::Integer(number))
    }

    fn word(&mut self) -> Read<Value> {
        if self.takes("hex:") {
            return self.hex().map(Value::Bytes);
        }
        let words =
            [("true", Value::Bool(true)), ("false", Value::Bool(false)), ("null", Value::Null)];
        let found = words.into_iter().find(|(word, _)| self.rest().starts_with(word));
        let (word, value) = found.ok_or(Stuck)?;
        self.at += word.len();
        Ok(value)
    }

    pub(super) fn hex(&mut self) -> Read<Vec<u8>> {
        let rest = self.rest();
        let count = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
        let bytes = hex::decode(rest.get(..count).ok_or(Stuck)?).map_err(|_| Stuck)?;
        self.at += count;
        Ok(bytes)
    }

    fn string(&mut self) -> Read<String> {
        let mut found = String::new();
        let mut characters = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += offset + 1;
                    return Ok(found);
                }
                '\\' => match characters.next().ok_or(Stuck)?.1 {
                    'n' => found.push('\n'),
                    c @ ('\\' | '"') => found.push(c),
                    _ => return Err(Stuck),
                },
                c => found.push(c),
            }
        }
        Err(Stuck)
    }

    fn array(&mut self) -> Read<Vec<Term>> {
        self.space();
        match self.takes("]") {
            true => Ok(Vec::new()),
            false => self.elements("]"),
        }
    }

    /// One at the least. Behind each comma there is another, as Biscuit's parser has it.
    fn elements(&mut self, end: &str) -> Read<Vec<Term>> {
        let mut terms = Vec::new();
        loop {
            terms.push(self.term()?);
            self.space();
            if !self.takes(",") {
                self.expect(end)?;
                return Ok(terms);
            }
        }
    }

    /// A set, a map or a parameter.
    fn braces(&mut self) -> Read<Value> {
        if self.takes("{,}") {
            return Ok(Value::Set(Vec::new()));
        }
        self.expect("{")?;
        self.space();
        if self.takes("}") {
            return Ok(Value::Map(Vec::new()));
        }
        let before = self.at;
        if let Ok(name) = self.name()
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && self.takes("}")
        {
            return Ok(Value::Parameter(name));
        }
        self.at = before;
        let first = self.term()?;
        self.space();
        if self.takes(":") {
            let mut entries = vec![(first, self.term()?)];
            loop {
                self.space();
                if !self.takes(",") {
                    break;
                }
                let key = self.term()?;
                self.space();
                self.expect(":")?;
                entries.push((key, self.term()?));
            }
            self.expect("}")?;
            return Ok(Value::Map(entries));
        }
        let mut terms = vec![first];
        if self.takes(",") {
            terms.extend(self.elements("}")?);
        } else {
            self.expect("}")?;
        }
        Ok(Value::Set(terms))
    }
}

/// Whether it begins as every date of RFC 3339 does, up to its seconds. Only then is it looked at where a date would end: in `1+1+…`
/// that would be the end of the statement for each number.
pub(super) fn begins_a_date(text: &str) -> bool {
    const FORM: &[u8; 19] = b"0000-00-00?00:00:00";
    let is_of_form = |(form, byte): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        // Any mark parts date and time.
        b'?' => true,
        mark => byte == mark,
    };
    text.len() >= FORM.len() && FORM.iter().zip(text.as_bytes()).all(is_of_form)
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}
