//! Call: one operation, on one resource, with its arguments, exactly.
//!
//! Arguments are read once, strictly; what was read is what is hashed, judged and passed on. This is defence against parser
//! differentials: no two readers of one text may find different calls in it.

mod argument;
mod error;
mod json;
mod resource;
pub(crate) mod seen;
pub(crate) mod size;
mod tally;

use std::sync::{Arc, OnceLock};

use biscuit_auth::builder::Term;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

pub(crate) use crate::call::json::{Integers, has_large_integer, members_length, parse_strictly};
use crate::call::json::{canonical, canonical_exactly, parse_object, parse_value};
use crate::call::resource::Resource;
use crate::call::seen::{MAX_SEEN_TEXT_BYTES, STAND_IN_BYTES, see, see_all};
use crate::call::tally::{Counted, Tally};
use crate::profile::cost;
use crate::prompt_name;
use crate::scope::Operation;

pub use argument::IntoArgument;
pub use error::CallError;
pub use json::ArgumentProblem;

/// The most bytes of arguments in their canonical form, 4 MiB, unless [`Call::at_most`] says otherwise: what the official Rust server of
/// MCP takes as a message. Policies see less of them ([`seen`]).
pub(crate) const MAX_ARGUMENT_BYTES: usize = 4 * 1024 * 1024;

/// The most bytes that [`Call::at_most`] and a gateway can be told, 8 MiB: reading and hashing them takes some hundred milliseconds.
pub(crate) const MOST_ARGUMENT_BYTES: usize = 8 * 1024 * 1024;

/// The most arguments. Each is a fact, and facts are passed over one by one.
pub(crate) const MAX_ARGUMENTS: usize = 1000;

/// The most bytes that their names have together: these are seen as they are.
pub(crate) const MAX_NAME_BYTES: usize = 64 * 1024;

/// The most values in the arguments, at all depths: as many as can stand in a list of 4 MiB whose elements have 20 bytes. What they take in
/// memory, [`size`] says.
pub(crate) const MAX_ARGUMENT_VALUES: usize = 200_000;

/// The most bytes in a resource's URI: what HTTP servers take as a request line (RFC 9110, section 4.1).
pub(crate) const MAX_RESOURCE_BYTES: usize = 8000;

/// The most levels to which arguments may nest. Readers of JSON recurse, and many stop at 128 levels; a message has some around these.
pub(crate) const MAX_ARGUMENT_DEPTH: usize = 100;

/// The largest integer that every JSON reader reads the same way, 2^53 − 1 (RFC 8259, section 6).
pub(crate) const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

/// A call: what an agent wants to do, exactly. It has one operation, and may have a resource, arguments and other parameters.
///
/// ```
/// use hardtack::Call;
///
/// let call = Call::tool("search")?.arguments(r#"{"query": "roadmap", "limit": 10}"#)?;
/// assert_eq!(call.operation().as_str(), "tools:call:search");
///
/// // What two readers could read differently is refused.
/// assert!(Call::tool("pay")?.arguments(r#"{"amount": 1, "amount": 1000}"#).is_err());
/// # Ok::<(), hardtack::CallError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Call {
    operation: Operation,
    resource: Option<Resource>,
    /// Clones share them: a call that waits to be decided takes no more memory.
    arguments: Arc<Map<String, Value>>,
    /// What else the request says. The calls of one request share it: it may be as long as a message, and they may be many.
    params: Arc<Map<String, Value>>,
    digest: KnownDigest,
    seen: KnownTerms,
    counted: Counted,
    /// How many bytes of arguments it may have.
    most: usize,
    /// Which integers arguments may have that are set from now on.
    integers: Integers,
}

/// By what is hashed: how much it might have had besides makes no other call.
impl PartialEq for Call {
    fn eq(&self, other: &Call) -> bool {
        self.operation == other.operation
            && self.resource == other.resource
            && self.arguments == other.arguments
            && self.params == other.params
    }
}

/// The digest, once it was asked for: canonical forms take long, and a decision needs it more than once.
#[derive(Debug, Clone, Default)]
struct KnownDigest(OnceLock<[u8; 32]>);

/// What is seen of the arguments, once it was asked for: large ones are hashed.
#[derive(Debug, Clone, Default)]
struct KnownTerms(OnceLock<Arc<[Term]>>);

impl Call {
    /// Begins a call of `operation`, such as `tools:call:search` or `resources:read`, without resource and arguments.
    ///
    /// # Errors
    ///
    /// [`CallError::Operation`] if the text is no operation.
    pub fn new(operation: &str) -> Result<Call, CallError> {
        let operation = operation.parse()?;
        Ok(Call {
            operation,
            resource: None,
            arguments: Arc::default(),
            params: Arc::default(),
            digest: KnownDigest::default(),
            seen: KnownTerms::default(),
            counted: Counted::default(),
            most: MAX_ARGUMENT_BYTES,
            integers: Integers::Safe,
        })
    }

    /// Begins a call of the tool `name`: the operation `tools:call:<name>`.
    ///
    /// # Errors
    ///
    /// [`CallError::Operation`] if that is no operation.
    pub fn tool(name: &str) -> Result<Call, CallError> {
        Call::new(&format!("tools:call:{name}"))
    }

    /// Sets how many bytes arguments and params may have that are set from now on, each in its canonical form, in place of 4 MiB. More
    /// than 8 MiB counts as 8 MiB.
    pub fn at_most(mut self, bytes: usize) -> Call {
        self.most = bytes.min(MOST_ARGUMENT_BYTES);
        self
    }

    /// Takes integers beyond ±(2^53−1) in arguments that are set from now on: from −2^63 to 2^63−1, written in digits alone. For servers
    /// that need them, and are known to read them exactly. By default they are refused.
    ///
    /// The digest of the call is of their digits, and not of what RFC 8785 makes of them.
    ///
    /// ```
    /// use hardtack::Call;
    ///
    /// let post = r#"{"message": 1234567890123456789}"#;
    /// assert!(Call::tool("post")?.arguments(post).is_err());
    /// let call = Call::tool("post")?.large_integers().arguments(post)?;
    /// let other = Call::tool("post")?.large_integers().argument("message", 1234567890123456788_u64)?;
    /// assert_ne!(call.digest(), other.digest());
    /// # Ok::<(), hardtack::CallError>(())
    /// ```
    pub fn large_integers(mut self) -> Call {
        self.integers = Integers::Large;
        self
    }

    /// Begins a call that gets the prompt `name`: the operation `prompts:get:<name>`, in which characters that a segment cannot have
    /// are escaped. Readers take each name for one prompt, and each has an operation of its own.
    ///
    /// ```
    /// use hardtack::Call;
    ///
    /// assert_eq!(Call::prompt("code review")?.operation().as_str(), "prompts:get:code%20review");
    /// # Ok::<(), hardtack::CallError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Operation`] if that is no operation: if the name has a character that does not print, is not in normal form (NFC),
    /// has spaces around it, or more bytes or colons than an operation has room for.
    pub fn prompt(name: &str) -> Result<Call, CallError> {
        Call::new(&prompt_name::operation_of(name)?)
    }

    /// Sets the resource that the call is about: a URI in the normal form of the WHATWG URL Standard. Of other schemes than `https`,
    /// `http` and `file`, a URI must also be the only spelling of its resource (`docs/profile.md`, "Resources").
    ///
    /// # Errors
    ///
    /// [`CallError::Resource`], with the normal form if there is one, [`CallError::ResourceForms`], and [`CallError::LongResource`].
    pub fn resource(mut self, uri: &str) -> Result<Call, CallError> {
        if uri.len() > MAX_RESOURCE_BYTES {
            return Err(CallError::LongResource);
        }
        self.resource = Some(uri.parse()?);
        self.digest = KnownDigest::default();
        Ok(self)
    }

    /// Sets the arguments of the call from the text of a JSON object, in place of those that it has.
    ///
    /// # Errors
    ///
    /// [`CallError::Arguments`] for anything but an object, for a member that stands twice at any depth, for names that some
    /// reader takes for one (they differ in capitals, a normal form or spaces around them), for a character in a name that does
    /// not print, a lone surrogate, an integer beyond ±(2^53−1) (RFC 8259, section 6; [`Call::large_integers`]), and more than the caps
    /// allow.
    pub fn arguments(mut self, json: &str) -> Result<Call, CallError> {
        self.arguments = parse_object(json, self.most, self.integers)?.into();
        self.checked()
    }

    /// The call with arguments that were read strictly, in place of those that it has.
    pub(crate) fn read_arguments(
        mut self,
        arguments: Map<String, Value>,
    ) -> Result<Call, CallError> {
        self.arguments = arguments.into();
        // Whoever read them has bounded them.
        self.most = usize::MAX;
        self.checked()
    }

    /// Adds one argument, a value of Rust's.
    ///
    /// ```
    /// use hardtack::Call;
    ///
    /// let call = Call::tool("pay")?.argument("amount", 7)?.argument("to", "bob".to_owned())?;
    /// assert_eq!(call, Call::tool("pay")?.arguments(r#"{"amount": 7, "to": "bob"}"#)?);
    ///
    /// // The text of a JSON value has a method of its own.
    /// assert_eq!(call, Call::tool("pay")?.argument_json("amount", "7")?.argument_json("to", "\"bob\"")?);
    /// # Ok::<(), hardtack::CallError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`CallError::Arguments`] for a name that is there already, and for what [`Call::arguments`] refuses;
    /// [`CallError::NotFinite`] for a number that is not finite.
    pub fn argument(self, name: &str, value: impl IntoArgument) -> Result<Call, CallError> {
        let value = value.into_argument();
        let value = value.ok_or(CallError::NotFinite)?;
        // Read as what comes from outside is: a value that was made here may hold what its text may not.
        self.argument_json(name, &value.to_string())
    }

    /// Adds one argument from the text of a JSON value.
    ///
    /// # Errors
    ///
    /// [`CallError::Arguments`] for a name that is there already, and for what [`Call::arguments`] refuses.
    pub fn argument_json(mut self, name: &str, json: &str) -> Result<Call, CallError> {
        let value = parse_value(json, self.most, self.integers)?;
        if self.arguments.contains_key(name) {
            return Err(CallError::Arguments(ArgumentProblem::Repeated));
        }
        self.counted.add(&self.arguments, name, &value, self.most)?;
        Arc::make_mut(&mut self.arguments).insert(name.to_owned(), value);
        (self.digest, self.seen) = Default::default();
        Ok(self)
    }

    /// Sets what else the request says that a server may act on, from the text of a JSON object. For a request to an MCP server
    /// these are all members of `params` that are neither operation, resource nor arguments, such as `requestState`, and of
    /// `_meta` those that are not the protocol's own. No check or policy sees them. A presentation that is bound to the call is
    /// bound to them, too.
    ///
    /// # Errors
    ///
    /// [`CallError::Arguments`] for what two readers could read differently, as of [`Call::arguments`].
    pub fn params(mut self, json: &str) -> Result<Call, CallError> {
        self.params = Arc::new(parse_object(json, self.most, Integers::Safe)?);
        self.digest = KnownDigest::default();
        Ok(self)
    }

    /// The call with what else was read strictly of the request.
    pub(crate) fn read_params(mut self, params: Arc<Map<String, Value>>) -> Call {
        self.params = params;
        self.digest = KnownDigest::default();
        self
    }

    /// The same call with another value for an argument, or without it.
    pub(crate) fn replacing_argument(
        mut self,
        name: &str,
        value: Option<Value>,
    ) -> Result<Call, CallError> {
        let arguments = Arc::make_mut(&mut self.arguments);
        match value {
            Some(value) => drop(arguments.insert(name.to_owned(), value)),
            None => drop(arguments.remove(name)),
        }
        self.checked()
    }

    /// Reads a call from the text of a JSON object, `{"operation": …, "resource": …, "arguments": …, "params": …}`; the last
    /// three are optional.
    ///
    /// # Errors
    ///
    /// [`CallError::Form`] for another form, and the errors of each part.
    pub fn parse(json: &str) -> Result<Call, CallError> {
        Call::read(json, Integers::Safe)
    }

    /// Reads a call as [`Call::parse`] does, of which the arguments may have [large integers](Call::large_integers).
    ///
    /// # Errors
    ///
    /// [`CallError`] as of [`Call::parse`].
    pub fn parse_with_large_integers(json: &str) -> Result<Call, CallError> {
        Call::read(json, Integers::Large)
    }

    fn read(json: &str, integers: Integers) -> Result<Call, CallError> {
        let mut members = parse_object(json, MAX_ARGUMENT_BYTES, integers)?;
        let Some(Value::String(operation)) = members.remove("operation") else {
            return Err(CallError::Form);
        };
        let mut call = Call { integers, ..Call::new(&operation)? };
        match members.remove("resource") {
            None => {}
            Some(Value::String(uri)) => call = call.resource(&uri)?,
            Some(_) => return Err(CallError::Form),
        }
        match members.remove("arguments") {
            None => {}
            Some(Value::Object(arguments)) => call.arguments = arguments.into(),
            Some(_) => return Err(CallError::Form),
        }
        match members.remove("params") {
            None => {}
            Some(params @ Value::Object(_)) if has_large_integer(&params) => {
                return Err(CallError::Arguments(ArgumentProblem::UnsafeInteger));
            }
            Some(Value::Object(params)) => call.params = Arc::new(params),
            Some(_) => return Err(CallError::Form),
        }
        let call = call.checked()?;
        if members.is_empty() { Ok(call) } else { Err(CallError::Form) }
    }

    /// Returns the operation of the call.
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Returns the URI of the resource that the call is about; `None` if it is about none.
    pub fn resource_uri(&self) -> Option<&str> {
        self.resource.as_ref().map(Resource::as_str)
    }

    /// Returns the arguments as they were read. Pass on these, and not the text that came in.
    pub fn arguments_json(&self) -> &Map<String, Value> {
        &self.arguments
    }

    /// Returns the SHA-256 digest of the canonical call: the RFC 8785 form of
    /// `{"operation":…,"resource":…,"arguments":…,"params":…}` without what is absent. Empty arguments and params are absent. Integers
    /// beyond ±(2^53−1) are written as their digits.
    pub fn digest(&self) -> [u8; 32] {
        *self.digest.0.get_or_init(|| Sha256::digest(self.canonical()).into())
    }

    /// Whether its arguments, and what else it says, are as few and short as most are.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_small(&self) -> bool {
        let short = |value: &Value| match value {
            Value::String(text) => text.len() <= 1024,
            value => json::canonical_length(value) <= 1024,
        };
        let few = |members: &Map<String, Value>| members.len() <= 16 && members.values().all(short);
        few(&self.arguments) && few(&self.params)
    }

    /// How many bytes the arguments have in their canonical form.
    pub(crate) fn argument_bytes(&self) -> usize {
        members_length(&self.arguments)
    }

    /// Whether both hold the same copy of what else their request says.
    #[cfg(test)]
    pub(crate) fn shares_params_with(&self, other: &Call) -> bool {
        Arc::ptr_eq(&self.params, &other.params)
    }

    pub(crate) fn scheme(&self) -> Option<&str> {
        self.resource.as_ref().map(Resource::scheme)
    }

    /// What is seen of the arguments, as Biscuit terms.
    pub(crate) fn argument_terms(&self) -> impl Iterator<Item = (&str, &Term)> {
        let seen = self.seen.0.get_or_init(|| see_all(&self.arguments).into());
        self.arguments.keys().map(String::as_str).zip(seen.iter())
    }

    /// Whether some argument is not seen as it is.
    pub(crate) fn is_large(&self) -> bool {
        self.argument_terms().any(|(_, term)| matches!(term, Term::Bytes(_)))
    }

    fn canonical(&self) -> Vec<u8> {
        let large = self.arguments.values().any(has_large_integer);
        let arguments = large.then(|| canonical_exactly(&self.arguments));
        let written = Written {
            arguments: (!large && !self.arguments.is_empty()).then_some(&*self.arguments),
            operation: self.operation.as_str(),
            params: (!self.params.is_empty()).then_some(&*self.params),
            resource: self.resource_uri(),
        };
        match (arguments, canonical(&written)) {
            // They are the first member, and the operation follows.
            (Some(arguments), rest) => {
                [b"{\"arguments\":", arguments.as_slice(), b",", &rest[1..]].concat()
            }
            (None, whole) => whole,
        }
    }

    /// The call with other arguments than before, if they are such as can be judged.
    fn checked(mut self) -> Result<Call, CallError> {
        Tally::of(&self.arguments, self.most)?;
        (self.digest, self.seen, self.counted) = Default::default();
        Ok(self)
    }
}

/// A call as it is hashed.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a Map<String, Value>>,
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a Map<String, Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource: Option<&'a str>,
}

/// Whether a call can have this resource.
pub(crate) fn check_resource(uri: &str) -> Result<(), CallError> {
    match uri.len() > MAX_RESOURCE_BYTES {
        true => Err(CallError::LongResource),
        false => uri.parse::<Resource>().map(drop),
    }
}

/// The values at all depths and the bytes of the longest string of the term that is seen of an argument.
pub(crate) fn values_and_bytes_of(value: &Value) -> (u64, u64) {
    match value {
        // Without a copy: a text may be long.
        Value::String(text) if text.len() > MAX_SEEN_TEXT_BYTES => (1, STAND_IN_BYTES as u64),
        Value::String(text) => (1, text.len() as u64),
        value => cost::values_and_bytes_of(&see(value).0),
    }
}

#[cfg(test)]
mod tests;
