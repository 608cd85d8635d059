//! Measure: what does a decision take without the way from Node and back? Not in the published package (feature `measure`).

use std::time::Instant;

use napi_derive::napi;

use crate::call::Call;
use crate::given::moment;
use crate::guard::Guard;

/// Nanoseconds of one check, of so many in a row that the library alone makes.
#[napi]
pub fn nanoseconds_of_check(
    guard: &Guard,
    bearer: String,
    call: &Call,
    times: u32,
) -> napi::Result<f64> {
    let (guard, call, now) = (guard.library(), &call.0, moment(None)?);
    let began = Instant::now();
    let allowed = (0..times).filter(|_| guard.check(&bearer, call, now).is_ok()).count();
    let took = began.elapsed();
    assert_eq!(allowed, times as usize, "not all were allowed");
    Ok(took.as_nanos() as f64 / f64::from(times))
}
