//! Form: the parameters of a request, each once (RFC 6749, section 3.2).

use url::form_urlencoded;

use crate::oauth::Refusal;

/// The most bytes of a form: an assertion of the largest size, escaped, and what stands beside it.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most parameters.
const MAX_PARAMETERS: usize = 64;

/// Those that may stand several times (RFC 8693, section 2.1; RFC 8707, section 2).
const SEVERAL: [&str; 2] = ["audience", "resource"];

/// The parameters of a request. `Debug` shows their names alone: tokens stand in it.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// Reads a body.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it is too long, no text, or has a parameter twice that is to stand once.
    pub fn read(body: &[u8]) -> Result<Form, Refusal> {
        if body.len() > MAX_BYTES || std::str::from_utf8(body).is_err() {
            return Err(Refusal::request(format!("a form is text of at most {MAX_BYTES} bytes")));
        }
        let mut parameters: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            // Without a value, it counts as left out (RFC 6749, section 3.2).
            if value.is_empty() {
                continue;
            }
            if value.contains('\u{fffd}') || name.contains('\u{fffd}') {
                return Err(Refusal::request("a parameter is no text in UTF-8"));
            }
            let stands = parameters.iter().any(|(known, _)| *known == name);
            if stands && !SEVERAL.contains(&&*name) {
                return Err(Refusal::request("a parameter stands twice"));
            }
            parameters.push((name.into_owned(), value.into_owned()));
            if parameters.len() > MAX_PARAMETERS {
                return Err(Refusal::request("there are more than 64 parameters"));
            }
        }
        Ok(Form(parameters))
    }

    /// Returns a parameter that must be there.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it is not.
    pub fn one(&self, name: &str) -> Result<&str, Refusal> {
        self.optional(name).ok_or_else(|| Refusal::request(format!("{name} is missing")))
    }

    /// Returns a parameter, if it is there.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Returns all parameters of this name.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
