//! Request: what does a gateway sign when it asks the publisher of a feed, and who has signed what came?
//!
//! An HTTP message signature (RFC 9421) by Ed25519, whose `tag` is the name of the feed: what was signed for one feed is good at no other.
//! `docs/feed.md` has the form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::Cause;
use crate::keys::{PrivateKey, PublicKey, verify_strict};
use crate::log::LogKey;
use crate::names;
use crate::timestamp::Timestamp;

/// A signature is good for so many seconds before and after the moment that it names: clocks differ by a minute at most, and whoever reads
/// a request on its way can send it again for no longer.
pub const REQUEST_SECONDS: u64 = 60;

/// The most bytes of either header: a name has 128, and the rest some 300.
const MOST_HEADER_BYTES: usize = 1024;

/// The parts of a request that are signed.
#[derive(Debug, Clone, Copy)]
pub struct FeedRequest<'a> {
    /// The method, such as `GET`.
    pub method: &'a str,
    /// The whole path of the URL, without a query.
    pub path: &'a str,
    /// The body, if there is one: its digest is signed as well.
    pub body: Option<&'a [u8]>,
}

/// The headers by which a request is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignedHeaders {
    /// `Signature-Input`.
    pub input: String,
    /// `Signature`.
    pub signature: String,
    /// `Content-Digest` (RFC 9530), if there is a body.
    pub digest: Option<String>,
}

/// Who says to have signed a request, and when: nothing of it is verified until [`ClaimedRequest::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedRequest {
    name: String,
    created: Timestamp,
    tag: String,
    signature: [u8; 64],
    /// What stands behind the label, byte for byte: it is signed.
    parameters: String,
    covered: Vec<String>,
}

/// A request that is not signed as it has to be. What is wrong, whoever asks may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestUnsigned {
    /// There is no signature.
    #[error("the request is not signed")]
    Missing,
    /// The headers have not the form.
    #[error(
        "Signature-Input, Signature or Content-Digest have not the form that docs/feed.md says"
    )]
    Form,
    /// It is signed for another feed.
    #[error("the request is signed for another feed")]
    OtherFeed,
    /// It was signed too long ago, or in the future.
    #[error(
        "the request was signed more than {REQUEST_SECONDS} seconds ago, or is from the future: a clock is wrong, or it is sent again"
    )]
    Time,
    /// The signature does not hold, or the body is another one.
    #[error("the signature does not hold")]
    Signature,
}

impl RequestUnsigned {
    /// Returns the stable name of the cause.
    pub fn cause(&self) -> Cause {
        Cause::ProofRefused
    }
}

impl FeedRequest<'_> {
    /// Signs the request in the name of a gateway, for the feed with this key, at the moment `now`.
    pub fn sign(
        &self,
        name: &str,
        key: &PrivateKey,
        feed: &LogKey,
        now: Timestamp,
    ) -> SignedHeaders {
        let covered: &[&str] = match self.body {
            Some(_) => &["@method", "@path", "content-digest"],
            None => &["@method", "@path"],
        };
        let quoted: Vec<String> = covered.iter().map(|part| format!("\"{part}\"")).collect();
        let parameters = format!(
            "({});created={};keyid=\"{name}\";alg=\"ed25519\";tag=\"{}\"",
            quoted.join(" "),
            now.unix_seconds(),
            feed.name()
        );
        let digest = self.body.map(digest_of);
        let base = self.base(covered.iter().copied(), digest.as_deref(), &parameters);
        let signature = STANDARD.encode(key.sign(base.as_bytes()));
        SignedHeaders {
            input: format!("feed={parameters}"),
            signature: format!("feed=:{signature}:"),
            digest,
        }
    }

    /// The signature base (RFC 9421, section 2.5).
    fn base<'a>(
        &self,
        covered: impl Iterator<Item = &'a str>,
        digest: Option<&str>,
        parameters: &str,
    ) -> String {
        let mut base = String::new();
        for part in covered {
            let value = match part {
                "@method" => self.method,
                "@path" => self.path,
                _ => digest.unwrap_or_default(),
            };
            base += &format!("\"{part}\": {value}\n");
        }
        base + &format!("\"@signature-params\": {parameters}")
    }
}

impl ClaimedRequest {
    /// Reads the headers of a request: the values of `Signature-Input` and `Signature`, of which there is one each.
    ///
    /// # Errors
    ///
    /// [`RequestUnsigned::Form`] for anything that two readers could read differently.
    pub fn parse(input: &str, signature: &str) -> Result<ClaimedRequest, RequestUnsigned> {
        parse(input, signature).ok_or(RequestUnsigned::Form)
    }

    /// Returns the name of the gateway that says to have signed it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the moment at which it says to have been signed.
    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// Verifies that `key` signed this request for the feed with the key `feed`, within a minute of `now`. `digest` is the value of
    /// `Content-Digest`.
    ///
    /// # Errors
    ///
    /// [`RequestUnsigned`] says what is wrong.
    pub fn verify(
        &self,
        request: &FeedRequest<'_>,
        digest: Option<&str>,
        key: &PublicKey,
        feed: &LogKey,
        now: Timestamp,
    ) -> Result<(), RequestUnsigned> {
        if self.tag != feed.name() {
            return Err(RequestUnsigned::OtherFeed);
        }
        let (created, now) = (self.created.unix_seconds(), now.unix_seconds());
        if created.abs_diff(now) > REQUEST_SECONDS {
            return Err(RequestUnsigned::Time);
        }
        let covers = |part: &str| self.covered.iter().any(|covered| covered == part);
        if covers("content-digest") != request.body.is_some() {
            return Err(RequestUnsigned::Form);
        }
        if let Some(body) = request.body
            && digest != Some(digest_of(body).as_str())
        {
            return Err(RequestUnsigned::Signature);
        }
        let covered = self.covered.iter().map(String::as_str);
        let base = request.base(covered, digest, &self.parameters);
        match verify_strict(&key.to_bytes(), base.as_bytes(), &self.signature) {
            true => Ok(()),
            false => Err(RequestUnsigned::Signature),
        }
    }
}

/// What RFC 9530 writes of a body.
fn digest_of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

fn parse(input: &str, signature: &str) -> Option<ClaimedRequest> {
    if input.len().max(signature.len()) > MOST_HEADER_BYTES {
        return None;
    }
    let (label, parameters) = input.split_once('=')?;
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = label.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if !begins || !label.bytes().all(is_label) {
        return None;
    }
    let (list, rest) = parameters.strip_prefix('(')?.split_once(')')?;
    let unquoted = |text: &str| Some(text.strip_prefix('"')?.strip_suffix('"')?.to_owned());
    let covered: Vec<String> = list.split(' ').map(unquoted).collect::<Option<_>>()?;
    let known = ["@method", "@path", "content-digest"];
    let is_once = |part: &str| covered.iter().filter(|covered| *covered == part).count();
    if !covered.iter().all(|part| known.contains(&part.as_str()) && is_once(part) == 1)
        || is_once("@method") + is_once("@path") != 2
    {
        return None;
    }
    let mut read = Parameters::default();
    for parameter in rest.strip_prefix(';')?.split(';') {
        read.take(parameter)?;
    }
    let Parameters { created, name, tag, .. } = read;
    let encoded = signature.strip_prefix(label)?.strip_prefix("=:")?.strip_suffix(':')?;
    let name = name?;
    names::check_agent(&name).ok()?;
    Some(ClaimedRequest {
        name,
        created: created?,
        tag: tag?,
        signature: STANDARD.decode(encoded).ok()?.try_into().ok()?,
        parameters: parameters.to_owned(),
        covered,
    })
}

/// The parameters of a signature that are known here; one that is not, or stands twice, is refused.
#[derive(Default)]
struct Parameters {
    created: Option<Timestamp>,
    name: Option<String>,
    tag: Option<String>,
    algorithm: Option<String>,
    nonce: Option<String>,
}

impl Parameters {
    fn take(&mut self, parameter: &str) -> Option<()> {
        let (key, value) = parameter.split_once('=')?;
        if key == "created" {
            let seconds: u64 = value.parse().ok()?;
            let is_plain = seconds.to_string() == value && self.created.is_none();
            self.created = is_plain.then_some(Timestamp::from_unix_seconds(seconds));
            return self.created.map(drop);
        }
        let value = value.strip_prefix('"')?.strip_suffix('"')?;
        if !value.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\;,".contains(&byte)) {
            return None;
        }
        let place = match key {
            "keyid" => &mut self.name,
            "tag" => &mut self.tag,
            "nonce" => &mut self.nonce,
            "alg" if value == "ed25519" => &mut self.algorithm,
            _ => return None,
        };
        match place.replace(value.to_owned()) {
            None => Some(()),
            Some(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::head;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_428_000);

    fn feed(seed: u8) -> LogKey {
        head::key_of(&PrivateKey::from_bytes(&[seed; 32])).unwrap()
    }

    fn asked(body: Option<&[u8]>) -> FeedRequest<'_> {
        FeedRequest { method: "GET", path: "/feed/checkpoint", body }
    }

    fn check(
        signed: &SignedHeaders,
        asked: &FeedRequest<'_>,
        key: &PrivateKey,
        now: Timestamp,
    ) -> Result<(), RequestUnsigned> {
        let claimed = ClaimedRequest::parse(&signed.input, &signed.signature)?;
        claimed.verify(asked, signed.digest.as_deref(), &key.public(), &feed(9), now)
    }

    #[test]
    fn what_a_gateway_signed_is_good_for_that_request_that_feed_and_a_minute() {
        let (key, other) = (PrivateKey::generate(), PrivateKey::generate());
        for body in [None, Some(&b"{}"[..])] {
            let asked = asked(body);
            let signed = asked.sign("gw-1", &key, &feed(9), NOW);
            let after = |seconds| Timestamp::from_unix_seconds(NOW.unix_seconds() + seconds);
            assert_eq!(check(&signed, &asked, &key, NOW), Ok(()));
            assert_eq!(check(&signed, &asked, &key, after(60)), Ok(()));
            let late = check(&signed, &asked, &key, after(61));
            assert_eq!(late, Err(RequestUnsigned::Time));
            let early = Timestamp::from_unix_seconds(NOW.unix_seconds() - 61);
            assert_eq!(check(&signed, &asked, &key, early), Err(RequestUnsigned::Time));
            assert_eq!(check(&signed, &asked, &other, NOW), Err(RequestUnsigned::Signature));
            for changed in [
                FeedRequest { method: "POST", ..asked },
                FeedRequest { path: "/feed/stream", ..asked },
            ] {
                let refused = check(&signed, &changed, &key, NOW);
                assert_eq!(refused, Err(RequestUnsigned::Signature), "{changed:?}");
            }
            let elsewhere = asked.sign("gw-1", &key, &feed(8), NOW);
            assert_eq!(check(&elsewhere, &asked, &key, NOW), Err(RequestUnsigned::OtherFeed));
        }
        let signed = asked(Some(b"{}")).sign("gw-1", &key, &feed(9), NOW);
        let other = check(&signed, &asked(Some(b"[]")), &key, NOW);
        assert_eq!(other, Err(RequestUnsigned::Signature));
        // A body that no signature covers.
        let signed = asked(None).sign("gw-1", &key, &feed(9), NOW);
        assert_eq!(check(&signed, &asked(Some(b"{}")), &key, NOW), Err(RequestUnsigned::Form));
    }

    #[test]
    fn the_signature_base_is_that_of_the_standard() {
        let base = asked(Some(b"{}")).base(
            ["@method", "@path", "content-digest"].into_iter(),
            Some("sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:"),
            "(\"@method\" \"@path\" \"content-digest\");created=1;keyid=\"gw\"",
        );
        assert_eq!(
            base,
            "\"@method\": GET\n\"@path\": /feed/checkpoint\n\"content-digest\": sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\n\"@signature-params\": (\"@method\" \"@path\" \"content-digest\");created=1;keyid=\"gw\""
        );
        assert_eq!(digest_of(b"{}"), "sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:");
    }

    #[test]
    fn headers_in_the_form_of_other_libraries_are_read_and_what_is_ambiguous_is_refused() {
        let key = PrivateKey::generate();
        let signature = |base: &str| STANDARD.encode(key.sign(base.as_bytes()));
        let parameters = format!(
            "(\"@path\" \"@method\");created={};nonce=\"abc\";alg=\"ed25519\";keyid=\"gw-1\";tag=\"{}\"",
            NOW.unix_seconds(),
            feed(9).name()
        );
        let base = format!(
            "\"@path\": /feed/checkpoint\n\"@method\": GET\n\"@signature-params\": {parameters}"
        );
        let signed = SignedHeaders {
            input: format!("sig1={parameters}"),
            signature: format!("sig1=:{}:", signature(&base)),
            digest: None,
        };
        assert_eq!(check(&signed, &asked(None), &key, NOW), Ok(()));
        for (from, to) in [
            ("sig1=", "sig2="),
            ("sig1=", "="),
            ("\"@path\" ", ""),
            ("\"@path\"", "\"@path\" \"@path\""),
            ("\"@path\"", "\"@path\" \"@query\""),
            ("created=", "created=0"),
            ("created=", "created=1;created="),
            ("nonce=\"abc\"", "nonce=\"a;b\""),
            ("nonce=\"abc\"", "expires=1"),
            ("alg=\"ed25519\"", "alg=\"hmac-sha256\""),
            ("keyid=\"gw-1\";", ""),
            ("keyid=\"gw-1\"", "keyid=\"gw:1\""),
            ("keyid=\"gw-1\"", "keyid=gw-1"),
            (";tag=", ", sig2=(\"@method\");tag="),
        ] {
            let input = signed.input.replacen(from, to, 1);
            let read = ClaimedRequest::parse(&input, &signed.signature);
            assert_eq!(read, Err(RequestUnsigned::Form), "{from} {to}");
        }
        let long = format!("{}{}", signed.input, " ".repeat(MOST_HEADER_BYTES));
        assert!(ClaimedRequest::parse(&long, &signed.signature).is_err());
    }
}
