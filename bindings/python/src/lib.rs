//! Hardtack for Python: the native half of the package `hardtack`. It decides nothing by itself: each class wraps one of the library's.
//!
//! What takes its time gives the interpreter up meanwhile. The rest of the package, and what it promises, is in `python/hardtack`.

mod call;
mod capability;
mod error;
mod given;
mod guard;
mod keys;
mod later;
#[cfg(feature = "measure")]
mod measure;
mod mint;
mod policy;
mod presenter;
mod process;
mod revocation;
mod store;

use pyo3::prelude::*;

/// The module `hardtack._native`.
#[pymodule]
mod _native {
    #[pymodule_export]
    use crate::call::{Call, Message};
    #[pymodule_export]
    use crate::capability::{Capability, Presentation};
    #[pymodule_export]
    use crate::error::challenge;
    #[pymodule_export]
    use crate::guard::{Admitted, Guard, Permit};
    #[pymodule_export]
    use crate::keys::{PrivateKey, PublicKey};
    #[cfg(feature = "measure")]
    #[pymodule_export]
    use crate::measure::nanoseconds_of_check;
    #[pymodule_export]
    use crate::mint::Issuer;
    #[pymodule_export]
    use crate::policy::Policy;
    #[pymodule_export]
    use crate::presenter::Presenter;
    #[pymodule_export]
    use crate::revocation::{Revocation, Revocations, Revoking};
    #[pymodule_export]
    use crate::store::Store;

    #[pymodule_init]
    fn init(module: &super::Bound<'_, super::PyModule>) -> super::PyResult<()> {
        use super::PyModuleMethods;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
