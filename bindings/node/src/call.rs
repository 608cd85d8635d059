//! Call: one operation with its arguments, exactly; and Message, what a message of MCP asks for.

use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;

use crate::error::{OrThrow, unharmed};

/// One operation, its resource and its arguments, exactly.
#[napi]
#[derive(Debug)]
pub struct Call(pub(crate) hardtack::Call);

#[napi]
impl Call {
    /// A call of `operation`; arguments and parameters are texts of JSON objects.
    #[napi(factory)]
    pub fn of(
        operation: String,
        resource: Option<String>,
        arguments: Option<String>,
        params: Option<String>,
        large_integers: bool,
    ) -> napi::Result<Call> {
        unharmed(|| {
            let call = hardtack::Call::new(&operation).or_throw()?;
            filled(call, resource, arguments, params, large_integers)
        })
    }

    /// Gets the prompt `name`, with escapes for what an operation cannot have.
    #[napi(factory)]
    pub fn prompt(name: String, arguments: Option<String>) -> napi::Result<Call> {
        unharmed(|| {
            let call = hardtack::Call::prompt(&name).or_throw()?;
            filled(call, None, arguments, None, false)
        })
    }

    /// Reads a call from the text of a JSON object.
    #[napi(factory)]
    pub fn parse(text: String, large_integers: bool) -> napi::Result<Call> {
        unharmed(|| {
            let call = match large_integers {
                true => hardtack::Call::parse_with_large_integers(&text),
                false => hardtack::Call::parse(&text),
            };
            call.or_throw().map(Call)
        })
    }

    #[napi(getter)]
    pub fn operation(&self) -> &str {
        self.0.operation().as_str()
    }

    #[napi(getter)]
    pub fn resource(&self) -> Option<&str> {
        self.0.resource_uri()
    }

    /// The arguments as they were read, as JSON.
    #[napi(getter)]
    pub fn arguments_json(&self) -> napi::Result<String> {
        crate::given::shown(self.0.arguments_json())
    }

    /// The SHA-256 digest of the canonical call.
    #[napi]
    pub fn digest(&self) -> Buffer {
        self.0.digest().to_vec().into()
    }

    #[napi]
    pub fn equals(&self, other: &Call) -> bool {
        self.0 == other.0
    }
}

fn filled(
    mut call: hardtack::Call,
    resource: Option<String>,
    arguments: Option<String>,
    params: Option<String>,
    large_integers: bool,
) -> napi::Result<Call> {
    if large_integers {
        call = call.large_integers();
    }
    if let Some(uri) = resource {
        call = call.resource(&uri).or_throw()?;
    }
    if let Some(arguments) = arguments {
        call = call.arguments(&arguments).or_throw()?;
    }
    if let Some(params) = params {
        call = call.params(&params).or_throw()?;
    }
    Ok(Call(call))
}

/// A message of MCP from a client, read once and strictly.
#[napi]
#[derive(Debug)]
pub struct Message(hardtack::mcp::Message);

#[napi]
impl Message {
    /// Reads one message from the bytes of its JSON. With `bearer`, a message that carries it is refused.
    #[napi(factory)]
    pub fn read(
        body: Uint8Array,
        bearer: Option<String>,
        large_integers: bool,
    ) -> napi::Result<Message> {
        unharmed(|| {
            let read = match large_integers {
                true => hardtack::mcp::Message::read_with_large_integers(&body, bearer.as_deref()),
                false => hardtack::mcp::Message::read(&body, bearer.as_deref()),
            };
            read.or_throw().map(Message)
        })
    }

    #[napi(getter)]
    pub fn method(&self) -> Option<&str> {
        self.0.method()
    }

    /// The calls that the message means. There are none for what any valid token may ask for, such as a list.
    #[napi]
    pub fn calls(&self) -> napi::Result<Vec<Call>> {
        let calls = unharmed(|| self.0.calls().or_throw())?;
        Ok(calls.into_iter().map(Call).collect())
    }

    /// The tasks that the message names.
    #[napi]
    pub fn task_ids(&self) -> napi::Result<Vec<String>> {
        let ids = unharmed(|| self.0.task_ids().or_throw())?;
        Ok(ids.into_iter().map(str::to_owned).collect())
    }
}
