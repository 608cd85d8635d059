//! The fuzzers' entrance to the targets, which live with the tests so that every test run tries them too.

#[path = "../../crates/mcp/tests/fuzz_regressions/targets/mod.rs"]
pub mod targets;

/// A fuzzer of one target.
#[macro_export]
macro_rules! fuzzer {
    ($target:ident) => {
        ::libfuzzer_sys::fuzz_target!(|data: &[u8]| {
            ($crate::targets::$target::TARGET.run)(data);
        });
    };
}
