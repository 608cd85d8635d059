//! Capability: a token in its holder's hands. Proves nothing yet.
//!
//! Parsing answers whether the token is of the profile's shape; whether it is authentic is for
//! [`verify`](crate::verify) to say, at the tool server.

mod beginning;
mod held;
mod mistake;

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost::Message;

use crate::block::Writer;
use crate::capability::held::Held;
use crate::cause::Cause;
use crate::chain::Chain;
use crate::keys::{PrivateKey, PublicKey};
use crate::profile::shape::Shaped;
use crate::profile::{MAX_TOKEN_BYTES, ShapeError};
use crate::signing::{self, BadSignature};

pub use crate::signing::SigningError;
pub(crate) use beginning::Beginning;
pub use mistake::TokenMistake;

/// URL-safe base64 (RFC 4648, section 5), as Biscuit writes it: with padding. Read with or without.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token in its holder's hands, which can be delegated ([`Capability::delegate`]) or presented
/// ([`Capability::present`]). Nothing that it says is verified.
///
/// It never changes, and remembers whether its signatures hold, so that delegating and presenting again read nothing but
/// the new block. Clones share one memory.
///
/// `Debug` shows whose token it is and leaves out its text, which is a secret.
#[derive(Clone)]
pub struct Capability(Arc<Held>);

/// The origin that an agent expects of a token that it is handed ([`Capability::accept`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Expect<'a> {
    /// A grant for this subject, signed by this root key.
    Root {
        /// The root's public key.
        key: PublicKey,
        /// The subject's name.
        subject: &'a str,
    },
    /// A last hop signed by this key.
    Delegator {
        /// The delegator's public key.
        key: PublicKey,
    },
}

/// The error of a token that does not come from where it was expected ([`Capability::accept`]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The text is no token of the profile's shape.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The token is not signed by the expected root, or is damaged.
    #[error("the token is not signed by the expected root key")]
    Root,
    /// The grant is for another subject.
    #[error("the token is a grant for {found}, not for {expected}")]
    Subject {
        /// The subject of the grant.
        found: String,
        /// The subject that was expected.
        expected: String,
    },
    /// The last hop is not signed by the expected delegator.
    #[error("the token's last hop is not signed by the expected delegator")]
    Delegator,
}

impl AcceptError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            AcceptError::Shape(error) => error.cause(),
            AcceptError::Root => Cause::UnexpectedRoot,
            AcceptError::Subject { .. } => Cause::UnexpectedSubject,
            AcceptError::Delegator => Cause::UnexpectedDelegator,
        }
    }
}

/// The error of a key with which a token cannot be signed further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HolderError {
    /// The token is bound to another key.
    #[error(
        "this token can be signed further only by its holder {expected}, and the key given is {given}"
    )]
    WrongKey {
        /// The holder's key.
        expected: PublicKey,
        /// The key that was given.
        given: PublicKey,
    },
    /// The token is bound to a key and none was given.
    #[error("this token is bound to its holder {expected}; give that holder's key")]
    KeyNeeded {
        /// The holder's key.
        expected: PublicKey,
    },
    /// The token names no holder, so that a signature would say nothing.
    #[error("this token names no holder, so a key has no use here; leave it out")]
    KeyNotNeeded,
    /// A signature of the token is not valid.
    #[error(
        "the signature of block {block} is not valid: the token is damaged or was tampered with; ask whoever delegated it for a new one"
    )]
    Signature {
        /// The number of the block.
        block: usize,
    },
    /// The token is a presentation, after which nothing may follow.
    #[error(
        "this is a presentation, which cannot be passed on; use the capability it was made from"
    )]
    Presentation,
}

impl HolderError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            HolderError::WrongKey { .. } => Cause::WrongKey,
            HolderError::KeyNeeded { .. } => Cause::KeyNeeded,
            HolderError::KeyNotNeeded => Cause::KeyNotNeeded,
            HolderError::Signature { .. } => Cause::Signature,
            HolderError::Presentation => Cause::AlreadyPresented,
        }
    }
}

impl Capability {
    /// Reads a token's text: a Biscuit in URL-safe base64 (RFC 4648, section 5), with or without padding. Checks the
    /// shape, and an upper bound of what it costs to evaluate. Verifies no signature.
    ///
    /// # Errors
    ///
    /// [`ShapeError`] if the token is not of the profile's shape, or too costly to evaluate.
    pub fn parse(text: &str) -> Result<Capability, ShapeError> {
        Capability::parse_by(text, Capability::from_bytes)
    }

    /// Reads a token's text, and its bytes by `read`.
    pub(crate) fn parse_by(
        text: &str,
        read: impl FnOnce(&[u8]) -> Result<Capability, ShapeError>,
    ) -> Result<Capability, ShapeError> {
        // A third more text than bytes, and padding.
        if text.len() > MAX_TOKEN_BYTES.div_ceil(3) * 4 {
            return Err(match TokenMistake::around(text) {
                Some(mistake) => ShapeError::NotAToken { mistake },
                None => ShapeError::TooLarge,
            });
        }
        let no_token = || ShapeError::NotAToken { mistake: TokenMistake::of(text) };
        // Otherwise one of two padding characters could be left out, which makes a third text of the same.
        if text.ends_with('=') && !text.len().is_multiple_of(4) {
            return Err(no_token());
        }
        let bytes = BASE64.decode(text).map_err(|_| no_token())?;
        read(&bytes).map_err(|error| match error {
            // Of a Biscuit in another encoding, that is what there is to say.
            ShapeError::NotABiscuit if !mistake::is_whole(&bytes) => no_token(),
            error => error,
        })
    }

    /// Reads a token's bytes, a Biscuit in Protobuf. Checks the shape and the cost, as [`Capability::parse`] does for a
    /// text. Verifies no signature.
    ///
    /// # Errors
    ///
    /// [`ShapeError`], as of [`Capability::parse`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Capability, ShapeError> {
        Ok(Capability(Arc::new(Held::read(bytes)?)))
    }

    /// Reads a token that somebody hands over, and checks that it comes from where it should: a grant for the expected
    /// subject by the expected root, or a last hop by the expected delegator. Verifies signatures only: expiry,
    /// revocation and widths are left to the verifier. What the token allows is in [`Capability::chain`].
    ///
    /// # Errors
    ///
    /// [`AcceptError`] if the text is no token, or comes from somewhere else.
    pub fn accept(text: &str, expected: Expect<'_>) -> Result<Capability, AcceptError> {
        let capability = Capability::parse(text)?;
        match expected {
            Expect::Root { key, subject } => {
                capability.0.verify(&key).map_err(|_| AcceptError::Root)?;
                let found = &capability.chain().grant.subject;
                if found != subject {
                    return Err(AcceptError::Subject {
                        found: found.clone(),
                        expected: subject.to_owned(),
                    });
                }
            }
            Expect::Delegator { key } => {
                let last = capability.chain().hops.last();
                let named = last.is_some_and(|hop| hop.signer == Some(key));
                if !named || capability.0.verify_after_grant().is_err() {
                    return Err(AcceptError::Delegator);
                }
            }
        }
        Ok(capability)
    }

    /// Returns the token's text, a Biscuit in URL-safe base64. It is a secret: its holder can use it, and whoever has
    /// an unbound one can.
    pub fn to_base64(&self) -> String {
        BASE64.encode(self.to_bytes())
    }

    /// Returns the token's bytes, a Biscuit in Protobuf. They are a secret, as the text is.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.shaped().biscuit.encode_to_vec()
    }

    /// Returns what the token's blocks say, decoded. Nothing of it is verified.
    pub fn chain(&self) -> &Chain {
        self.0.chain()
    }

    /// Returns the root key id that the token carries, if any: an unsigned hint which root key signed it.
    pub fn root_key_id(&self) -> Option<u32> {
        self.shaped().biscuit.root_key_id
    }

    /// Returns the number of the first block after the grant whose signature is not valid: the token was changed, by
    /// accident or not. `None` if all are valid. The grant's own signature can be checked only with the root's public
    /// key ([`Verifier`](crate::Verifier)).
    pub fn first_damaged_block(&self) -> Option<usize> {
        self.0.verify_after_grant().err().map(|BadSignature { block }| block)
    }

    pub(crate) fn shaped(&self) -> &Shaped {
        self.0.shaped()
    }

    /// Appends a block, signed by `key` if there is one. What a verifier would refuse for its shape or cost is never handed
    /// out.
    pub(crate) fn append(
        &self,
        block: &Writer,
        key: Option<&PrivateKey>,
    ) -> Result<Capability, AppendError> {
        Ok(Capability(Arc::new(self.0.append(block, key)?)))
    }

    /// Appends a block and ends the token with it.
    pub(crate) fn append_last(
        &self,
        block: &Writer,
        key: Option<&PrivateKey>,
    ) -> Result<Capability, AppendError> {
        Ok(Capability(Arc::new(self.0.append(block, key)?.seal()?)))
    }

    /// What `parent(hex:…)` says in a block that is signed over this token.
    pub(crate) fn parent_digest(&self) -> [u8; 16] {
        self.0.read_so_far().digest()
    }

    /// Whether nothing can be appended to it.
    pub(crate) fn is_sealed(&self) -> bool {
        signing::is_sealed(&self.shaped().biscuit)
    }

    pub(crate) fn sealed(&self) -> Result<Capability, AppendError> {
        Ok(Capability(Arc::new(self.0.sealed()?)))
    }

    /// Whether `key` is the one with which this token is signed further. A holder signs only over a
    /// token that names its key and whose signatures hold, as far as they can be checked without the root's
    /// key; and the block that it signs says which token that is ([`Capability::parent_digest`]).
    pub(crate) fn check_holder(&self, key: Option<&PrivateKey>) -> Result<(), HolderError> {
        if self.chain().presentation.is_some() {
            return Err(HolderError::Presentation);
        }
        let signed = self.0.verify_after_grant();
        signed.map_err(|BadSignature { block }| HolderError::Signature { block })?;
        match (self.chain().holder(), key.map(PrivateKey::public)) {
            (Some(expected), Some(given)) if expected != given => {
                Err(HolderError::WrongKey { expected, given })
            }
            (Some(expected), None) => Err(HolderError::KeyNeeded { expected }),
            (None, Some(_)) => Err(HolderError::KeyNotNeeded),
            _ => Ok(()),
        }
    }
}

/// The error of a block that cannot be appended to a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The token cannot be extended.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// Every verifier would refuse the result: it is not of the profile's shape, or too costly to evaluate.
    #[error("every verifier would refuse the result")]
    Shape(#[from] ShapeError),
}

impl AppendError {
    /// Returns the [`Cause`] of this error: its stable name, by which programs and records tell errors apart.
    pub fn cause(&self) -> Cause {
        match self {
            AppendError::Signing(error) => error.cause(),
            AppendError::Shape(_) => Cause::ResultRefused,
        }
    }
}

impl fmt::Debug for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capability")
            .field("subject", &self.chain().grant.subject)
            .field("bearer", &self.chain().bearer_name())
            .field("scopes", &self.chain().scopes())
            .field("expires", &self.chain().expires())
            .finish_non_exhaustive()
    }
}
