//! Keys: PrivateKey and PublicKey.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::error::OrRaise;

/// An Ed25519 public key: a root's or a holder's. Written `ed25519/` and 64 hexadecimal digits; PEM is read, too.
#[pyclass(frozen, eq, hash, module = "hardtack")]
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PublicKey(pub(crate) hardtack::PublicKey);

#[pymethods]
impl PublicKey {
    #[new]
    fn new(py: Python<'_>, text: &str) -> PyResult<PublicKey> {
        text.parse().or_raise(py).map(PublicKey)
    }

    #[staticmethod]
    fn from_bytes(py: Python<'_>, raw: [u8; 32]) -> PyResult<PublicKey> {
        hardtack::PublicKey::from_bytes(&raw).or_raise(py).map(PublicKey)
    }

    fn to_bytes<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.to_bytes())
    }

    fn __str__(&self) -> String {
        self.0.to_string()
    }

    fn __repr__(&self) -> String {
        format!("PublicKey('{}')", self.0)
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<(Py<PyAny>, (String,))> {
        Ok((py.get_type::<PublicKey>().into_any().unbind(), (self.0.to_string(),)))
    }
}

/// A public key, or its text.
#[derive(FromPyObject)]
pub(crate) enum SomeKey<'py> {
    Key(Bound<'py, PublicKey>),
    #[pyo3(transparent)]
    Text(String),
}

impl SomeKey<'_> {
    pub(crate) fn key(&self, py: Python<'_>) -> PyResult<hardtack::PublicKey> {
        match self {
            SomeKey::Key(key) => Ok(key.get().0),
            SomeKey::Text(text) => text.parse().or_raise(py),
        }
    }
}

/// An Ed25519 private key: an issuer's root key or a holder's. It is never shown, and cannot be pickled.
#[pyclass(frozen, module = "hardtack")]
#[derive(Debug)]
pub(crate) struct PrivateKey(pub(crate) hardtack::PrivateKey);

#[pymethods]
impl PrivateKey {
    #[staticmethod]
    fn generate() -> PrivateKey {
        PrivateKey(hardtack::PrivateKey::generate())
    }

    /// Reads a key file. One that others than its owner can read is refused.
    #[staticmethod]
    fn load(py: Python<'_>, path: PathBuf) -> PyResult<PrivateKey> {
        py.detach(|| hardtack::PrivateKey::load(path)).or_raise(py).map(PrivateKey)
    }

    /// Reads the text of a key, `ed25519-private/` and 64 hexadecimal digits, or PEM.
    #[staticmethod]
    fn parse(py: Python<'_>, text: &str) -> PyResult<PrivateKey> {
        text.parse().or_raise(py).map(PrivateKey)
    }

    #[staticmethod]
    fn from_bytes(seed: [u8; 32]) -> PrivateKey {
        PrivateKey(hardtack::PrivateKey::from_bytes(&seed))
    }

    /// Writes a key file that only its owner can read. A file that exists is left as it is.
    fn save(&self, py: Python<'_>, path: PathBuf) -> PyResult<()> {
        py.detach(|| self.0.save(path)).or_raise(py)
    }

    /// The key as text: a secret.
    fn to_text(&self) -> String {
        self.0.to_text().to_string()
    }

    #[getter]
    fn public(&self) -> PublicKey {
        PublicKey(self.0.public())
    }

    fn __repr__(&self) -> String {
        format!("<PrivateKey of {}>", self.0.public())
    }
}
