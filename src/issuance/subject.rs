//! Subject: which name does a person or account of an identity provider get, so that no two share one?

use sha2::{Digest, Sha256};

use crate::cause::Cause;
use crate::names;

/// The most bytes in the issuer's own name for a provider: with a hash, the subject's name still fits.
const MAX_IDP_BYTES: usize = 32;

/// What stands before a hash. No `sub` that begins so is taken as it is.
const HASHED: &str = "h-";

/// Returns the subject of `sub` at the provider `idp`: `user:<idp>/<sub>`, or where that is no subject's name
/// `user:<idp>/h-<SHA-256 of sub>`. `kind` is `user` or `svc`. Nothing else of an assertion names a subject: an e-mail address can
/// change hands.
///
/// # Errors
///
/// [`SubjectError`] if there is no `sub`, or `kind` or `idp` are not of their form.
///
/// ```
/// use hardtack::issuance::subject;
///
/// assert_eq!(subject("user", "acme", "alice")?, "user:acme/alice");
/// assert!(subject("user", "acme", "auth0|5f7c8ec7")?.starts_with("user:acme/h-"));
/// # Ok::<(), hardtack::issuance::SubjectError>(())
/// ```
pub fn subject(kind: &str, idp: &str, sub: &str) -> Result<String, SubjectError> {
    if !matches!(kind, "user" | "svc") {
        return Err(SubjectError::Kind);
    }
    // Without `/` and `:`, what stands before `sub` ends at one place.
    let is_mark = |byte: u8| matches!(byte, b'-' | b'_' | b'.');
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || is_mark(byte);
    if idp.is_empty() || idp.len() > MAX_IDP_BYTES || !idp.bytes().all(is_name) {
        return Err(SubjectError::Idp);
    }
    if sub.is_empty() {
        return Err(SubjectError::NoSub);
    }
    let plain = format!("{kind}:{idp}/{sub}");
    match !sub.starts_with(HASHED) && names::check_subject(&plain).is_ok() {
        true => Ok(plain),
        false => Ok(format!("{kind}:{idp}/{HASHED}{}", hex::encode(Sha256::digest(sub)))),
    }
}

/// The error of an assertion that names no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubjectError {
    /// The kind of subject is neither `user` nor `svc`.
    #[error("a subject of an issuer is a user or a svc")]
    Kind,
    /// The name of the provider is not of its form.
    #[error(
        "the name of an identity provider is 1 to {MAX_IDP_BYTES} letters, digits or `-_.`, such as acme"
    )]
    Idp,
    /// The assertion has no `sub`.
    #[error("the assertion does not say whom it is about: `sub` is missing or empty")]
    NoSub,
}

impl SubjectError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        Cause::MalformedName
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_accounts_never_have_one_subject() {
        let hash = hex::encode(Sha256::digest("auth0|1"));
        let subs = [
            "alice".to_owned(),
            "Alice".to_owned(),
            "auth0|1".to_owned(),
            // Whoever may choose its own `sub` cannot choose that of another.
            format!("h-{hash}"),
            "x/alice".to_owned(),
            "älice".to_owned(),
            "a".repeat(255),
            format!("{}b", "a".repeat(254)),
        ];
        let mut seen = std::collections::BTreeSet::new();
        for sub in &subs {
            for (kind, idp) in [("user", "acme"), ("user", "other"), ("svc", "acme")] {
                let name = subject(kind, idp, sub).unwrap();
                names::check_subject(&name).unwrap();
                assert!(seen.insert(name.clone()), "{name}");
            }
        }
    }

    #[test]
    fn what_names_nobody_is_refused() {
        assert_eq!(subject("user", "acme", ""), Err(SubjectError::NoSub));
        for idp in ["", "a/b", "a:b", "ä", &"a".repeat(33)] {
            assert_eq!(subject("user", idp, "alice"), Err(SubjectError::Idp), "{idp}");
        }
        assert_eq!(subject("root", "acme", "alice"), Err(SubjectError::Kind));
    }
}
