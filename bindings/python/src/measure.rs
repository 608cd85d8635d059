//! Measure: what does a decision take without the way from Python and back? Not in the published package (feature `measure`).

use std::time::Instant;

use pyo3::prelude::*;

use crate::call::Call;
use crate::given::moment;
use crate::guard::Guard;

/// Nanoseconds of one check, of so many in a row that the library alone makes.
#[pyfunction]
pub(crate) fn nanoseconds_of_check(
    py: Python<'_>,
    guard: &Bound<'_, Guard>,
    bearer: &str,
    call: &Bound<'_, Call>,
    times: u32,
) -> PyResult<f64> {
    let (guard, call, now) = (guard.get().library(), &call.get().0, moment(py, None)?);
    let took = py.detach(|| {
        let began = Instant::now();
        let allowed = (0..times).filter(|_| guard.check(bearer, call, now).is_ok()).count();
        (allowed, began.elapsed())
    });
    let (allowed, took) = took;
    assert_eq!(allowed, times as usize, "not all were allowed");
    Ok(took.as_nanos() as f64 / f64::from(times))
}
