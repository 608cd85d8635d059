//! Argument: a value of Rust's as an argument of a call.

use serde_json::{Map, Number, Value};

/// A value of Rust's that [`Call::argument`](crate::Call::argument) takes: numbers, `bool`, `String`, lists and maps of these,
/// `Option`, whose `None` is JSON's null, and [`serde_json::Value`].
///
/// A `&str` is none of them: it could be a text or JSON's text of a value. A text is given as a `String`, JSON by
/// [`Call::argument_json`](crate::Call::argument_json). Lists of `&str` are lists of texts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no value of an argument",
    label = "neither a number, bool, String, list nor serde_json::Value",
    note = "give a text as a String, and the JSON text of a value to `argument_json`"
)]
pub trait IntoArgument {
    /// Converts the value to JSON; `None` for a number that JSON does not have, such as an infinite one.
    fn into_argument(self) -> Option<Value>;
}

impl IntoArgument for Value {
    fn into_argument(self) -> Option<Value> {
        Some(self)
    }
}

macro_rules! as_json_has_it {
    ($($kind:ty),*) => {$(
        impl IntoArgument for $kind {
            fn into_argument(self) -> Option<Value> {
                Some(Value::from(self))
            }
        }
    )*};
}

as_json_has_it!(bool, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, String);

impl IntoArgument for f64 {
    fn into_argument(self) -> Option<Value> {
        Number::from_f64(self).map(Value::Number)
    }
}

impl<T: IntoArgument> IntoArgument for Option<T> {
    fn into_argument(self) -> Option<Value> {
        match self {
            Some(value) => value.into_argument(),
            None => Some(Value::Null),
        }
    }
}

impl<T: IntoArgument> IntoArgument for Vec<T> {
    fn into_argument(self) -> Option<Value> {
        self.into_iter()
            .map(IntoArgument::into_argument)
            .collect::<Option<Vec<_>>>()
            .map(Value::Array)
    }
}

impl<T: IntoArgument, const N: usize> IntoArgument for [T; N] {
    fn into_argument(self) -> Option<Value> {
        Vec::from(self).into_argument()
    }
}

impl IntoArgument for Vec<&str> {
    fn into_argument(self) -> Option<Value> {
        Some(Value::from(self))
    }
}

impl<const N: usize> IntoArgument for [&str; N] {
    fn into_argument(self) -> Option<Value> {
        Some(Value::from(Vec::from(self)))
    }
}

impl IntoArgument for Map<String, Value> {
    fn into_argument(self) -> Option<Value> {
        Some(Value::Object(self))
    }
}
