//! Call: one operation with its arguments, exactly; and Message, what a message of MCP asks for.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::OrRaise;
use crate::given::{as_python, json};

/// One operation, its resource and its arguments, exactly.
#[pyclass(frozen, eq, module = "hardtack")]
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call(pub(crate) hardtack::Call);

#[pymethods]
impl Call {
    /// A call of `operation`, such as `tools:call:search` or `resources:read`.
    #[new]
    #[pyo3(signature = (operation, *, resource=None, arguments=None, params=None, large_integers=false))]
    fn new(
        py: Python<'_>,
        operation: &str,
        resource: Option<&str>,
        arguments: Option<&Bound<'_, PyAny>>,
        params: Option<&Bound<'_, PyAny>>,
        large_integers: bool,
    ) -> PyResult<Call> {
        let mut call = hardtack::Call::new(operation).or_raise(py)?;
        if large_integers {
            call = call.large_integers();
        }
        if let Some(uri) = resource {
            call = call.resource(uri).or_raise(py)?;
        }
        if let Some(arguments) = arguments {
            call = call.arguments(&json(py, arguments)?).or_raise(py)?;
        }
        if let Some(params) = params {
            call = call.params(&json(py, params)?).or_raise(py)?;
        }
        Ok(Call(call))
    }

    /// A call of the tool `name`: the operation `tools:call:<name>`.
    #[staticmethod]
    #[pyo3(signature = (name, arguments=None, *, resource=None, params=None, large_integers=false))]
    fn tool(
        py: Python<'_>,
        name: &str,
        arguments: Option<&Bound<'_, PyAny>>,
        resource: Option<&str>,
        params: Option<&Bound<'_, PyAny>>,
        large_integers: bool,
    ) -> PyResult<Call> {
        let operation = format!("tools:call:{name}");
        Call::new(py, &operation, resource, arguments, params, large_integers)
    }

    /// Gets the prompt `name`: the operation `prompts:get:<name>`, with escapes for what an operation cannot have.
    #[staticmethod]
    #[pyo3(signature = (name, arguments=None))]
    fn prompt(py: Python<'_>, name: &str, arguments: Option<&Bound<'_, PyAny>>) -> PyResult<Call> {
        let mut call = hardtack::Call::prompt(name).or_raise(py)?;
        if let Some(arguments) = arguments {
            call = call.arguments(&json(py, arguments)?).or_raise(py)?;
        }
        Ok(Call(call))
    }

    /// Reads the resource `uri`: the operation `resources:read`.
    #[staticmethod]
    fn read(py: Python<'_>, uri: &str) -> PyResult<Call> {
        Call::new(py, "resources:read", Some(uri), None, None, false)
    }

    /// Reads a call from the text of a JSON object, `{"operation": …, "resource": …, "arguments": …, "params": …}`.
    #[staticmethod]
    #[pyo3(signature = (text, *, large_integers=false))]
    fn parse(py: Python<'_>, text: &str, large_integers: bool) -> PyResult<Call> {
        let call = match large_integers {
            true => hardtack::Call::parse_with_large_integers(text),
            false => hardtack::Call::parse(text),
        };
        call.or_raise(py).map(Call)
    }

    #[getter]
    fn operation(&self) -> &str {
        self.0.operation().as_str()
    }

    #[getter]
    fn resource(&self) -> Option<&str> {
        self.0.resource_uri()
    }

    /// The arguments as they were read. Pass on these, and not the text that came in.
    #[getter]
    fn arguments<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        as_python(py, self.0.arguments_json())
    }

    /// The SHA-256 digest of the canonical call.
    fn digest<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.digest())
    }

    fn __repr__(&self) -> String {
        // Arguments can hold what no log should.
        format!("<Call {}>", self.0.operation().as_str())
    }
}

/// A message of MCP from a client, read once and strictly.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct Message(hardtack::mcp::Message);

#[pymethods]
impl Message {
    /// Reads one message from its JSON text. With `bearer`, a message that carries it is refused.
    #[staticmethod]
    #[pyo3(signature = (body, bearer=None, *, large_integers=false))]
    fn read(
        py: Python<'_>,
        body: &[u8],
        bearer: Option<&str>,
        large_integers: bool,
    ) -> PyResult<Message> {
        let read = py.detach(|| match large_integers {
            true => hardtack::mcp::Message::read_with_large_integers(body, bearer),
            false => hardtack::mcp::Message::read(body, bearer),
        });
        read.or_raise(py).map(Message)
    }

    #[getter]
    fn method(&self) -> Option<&str> {
        self.0.method()
    }

    /// The calls that the message means. There are none for what any valid token may ask for, such as a list.
    fn calls(&self, py: Python<'_>) -> PyResult<Vec<Call>> {
        let calls = self.0.calls().or_raise(py)?;
        Ok(calls.into_iter().map(Call).collect())
    }

    /// The tasks that the message names. A server whose callers may not see each other's looks whether they are the caller's own.
    fn task_ids(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let ids = self.0.task_ids().or_raise(py)?;
        Ok(ids.into_iter().map(str::to_owned).collect())
    }

    fn __repr__(&self) -> String {
        format!("<Message {}>", self.0.method().unwrap_or("answer"))
    }
}
