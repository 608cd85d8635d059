//! Given: what do arguments of Python's mean: moments, lives, lists of texts, JSON?

use std::time::{Duration, SystemTime};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

use hardtack::call::ArgumentProblem;
use hardtack::{CallError, Cause, Timestamp};

use crate::error::{self, OrRaise};

/// The most levels of a value that are written as JSON. The library takes fewer, and says so.
const MAX_LEVELS: usize = 104;

/// Now, by this machine's clock: the package is a door.
#[allow(clippy::disallowed_methods, reason = "a door reads the clock")]
fn clock() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

/// The moment of something: now, unless a moment is given, in seconds since 1970 or as an aware `datetime`.
pub(crate) fn moment(py: Python<'_>, given: Option<&Bound<'_, PyAny>>) -> PyResult<Timestamp> {
    let Some(given) = given else { return Ok(clock()) };
    if let Ok(seconds) = given.extract::<u64>() {
        return Ok(Timestamp::from_unix_seconds(seconds));
    }
    let seconds = match given.cast::<PyFloat>() {
        Ok(seconds) => seconds.value(),
        Err(_) if given.hasattr("tzinfo")? => {
            // A naive one means another moment on each machine.
            if given.getattr("tzinfo")?.is_none() {
                let message = "a datetime without a time zone is no moment; give it one, such as datetime.timezone.utc";
                return Err(error::of_cause(py, Cause::MalformedTime, message));
            }
            given.call_method0("timestamp")?.extract::<f64>()?
        }
        Err(_) => {
            return Err(PyTypeError::new_err(
                "a moment is an int of seconds since 1970, or a datetime with a time zone",
            ));
        }
    };
    match seconds >= 0.0 && seconds < u64::MAX as f64 {
        true => Ok(Timestamp::from_unix_seconds(seconds as u64)),
        false => Err(error::of_cause(py, Cause::MalformedTime, "a moment lies after 1970")),
    }
}

/// A moment as `datetime`, in UTC.
pub(crate) fn datetime<'py>(py: Python<'py>, moment: Timestamp) -> PyResult<Bound<'py, PyAny>> {
    let module = py.import("datetime")?;
    let utc = module.getattr("timezone")?.getattr("utc")?;
    module.getattr("datetime")?.call_method1("fromtimestamp", (moment.unix_seconds(), utc))
}

/// A life in seconds, or as `timedelta`.
pub(crate) fn life(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let malformed = || {
        let message = "a life is at least one second, in whole seconds";
        error::of_cause(py, Cause::MalformedLife, message)
    };
    if given.is_instance_of::<PyInt>() {
        let seconds = given.extract::<u64>().map_err(|_| malformed())?;
        return Ok(Duration::from_secs(seconds));
    }
    let seconds = match given.cast::<PyFloat>() {
        Ok(seconds) => seconds.value(),
        Err(_) if given.hasattr("total_seconds")? => {
            given.call_method0("total_seconds")?.extract::<f64>()?
        }
        Err(_) => return Err(PyTypeError::new_err("a life is an int of seconds, or a timedelta")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| malformed())
}

/// One text, or several.
#[derive(FromPyObject)]
pub(crate) enum Texts {
    #[pyo3(transparent)]
    One(String),
    #[pyo3(transparent)]
    Several(Vec<String>),
}

impl Texts {
    pub(crate) fn all(given: Option<Texts>) -> Vec<String> {
        match given {
            None => Vec::new(),
            Some(Texts::One(text)) => vec![text],
            Some(Texts::Several(texts)) => texts,
        }
    }
}

/// The text of a JSON object: such a text, or a dict that JSON has as it is.
pub(crate) fn json(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = given.cast::<PyString>() {
        return text_of(py, text);
    }
    if !given.is_instance_of::<PyDict>() {
        return Err(PyTypeError::new_err("arguments are a dict, or the text of a JSON object"));
    }
    let mut written = String::new();
    write(py, given, &mut written, 0)?;
    Ok(written)
}

fn write(py: Python<'_>, value: &Bound<'_, PyAny>, to: &mut String, level: usize) -> PyResult<()> {
    if level > MAX_LEVELS {
        return inexact(ArgumentProblem::TooLarge).or_raise(py);
    }
    if value.is_none() {
        to.push_str("null");
    } else if let Ok(bool) = value.cast::<PyBool>() {
        to.push_str(if bool.is_true() { "true" } else { "false" });
    } else if let Ok(text) = value.cast::<PyString>() {
        write_text(&text_of(py, text)?, to)?;
    } else if value.is_instance_of::<PyInt>() {
        match value.extract::<i64>() {
            Ok(integer) => to.push_str(&integer.to_string()),
            Err(_) => return inexact(ArgumentProblem::UnsafeInteger).or_raise(py),
        }
    } else if let Ok(float) = value.cast::<PyFloat>() {
        let number = serde_json::Number::from_f64(float.value()).ok_or(CallError::NotFinite);
        to.push_str(&number.or_raise(py)?.to_string());
    } else if let Ok(dict) = value.cast::<PyDict>() {
        to.push('{');
        for (at, (name, value)) in dict.iter().enumerate() {
            if at > 0 {
                to.push(',');
            }
            // `json.dumps` would make a text of a number, and so another call than the one that is made.
            let Ok(name) = name.cast::<PyString>() else {
                return Err(PyTypeError::new_err("the names of arguments are texts"));
            };
            write_text(&text_of(py, name)?, to)?;
            to.push(':');
            write(py, &value, to, level + 1)?;
        }
        to.push('}');
    } else if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        to.push('[');
        for (at, value) in value.try_iter()?.enumerate() {
            if at > 0 {
                to.push(',');
            }
            write(py, &value?, to, level + 1)?;
        }
        to.push(']');
    } else {
        let kind = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!(
            "JSON has no {kind}; arguments are of dict, list, str, int, float, bool and None"
        )));
    }
    Ok(())
}

fn write_text(text: &str, to: &mut String) -> PyResult<()> {
    let quoted = serde_json::to_string(text);
    to.push_str(&quoted.map_err(|error| PyValueError::new_err(error.to_string()))?);
    Ok(())
}

/// A text without half of a surrogate pair, which JSON cannot say.
fn text_of(py: Python<'_>, text: &Bound<'_, PyString>) -> PyResult<String> {
    text.to_str().map(str::to_owned).or_else(|_| inexact(ArgumentProblem::NotJson).or_raise(py))
}

fn inexact<T>(problem: ArgumentProblem) -> Result<T, CallError> {
    Err(CallError::Arguments(problem))
}

/// What is serialized, as Python's JSON has it.
pub(crate) fn as_python<'py>(
    py: Python<'py>,
    value: &impl serde::Serialize,
) -> PyResult<Bound<'py, PyAny>> {
    let text = serde_json::to_string(value);
    let text = text.map_err(|error| PyValueError::new_err(error.to_string()))?;
    py.import("json")?.call_method1("loads", (text,))
}

/// A value of Python's, as what is read from JSON.
pub(crate) fn from_python<T: serde::de::DeserializeOwned>(given: &Bound<'_, PyAny>) -> PyResult<T> {
    let text: String = match given.cast::<PyString>() {
        Ok(text) => text.to_str()?.to_owned(),
        Err(_) => given.py().import("json")?.call_method1("dumps", (given,))?.extract()?,
    };
    serde_json::from_str(&text).map_err(|error| PyValueError::new_err(error.to_string()))
}
