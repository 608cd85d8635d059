//! Issuing: what becomes of one request to the token endpoint?
//!
//! The proof of the key, then the assertion, then the policies; what is good for once is claimed; the grant is signed, recorded, and
//! then answered. What cannot be recorded is not given.

use std::sync::Arc;
use std::time::Duration;

use hardtack::audit::{Claim, Recording, Records, SingleUse, Uses};
use hardtack::chain::RevocationId;
use hardtack::issuance::{Issuance, Issued, Request, Way, decide, record, subject};
use hardtack::revocation::{RevocationSource, Revoked};
use hardtack::{
    Capability, Cause, Chain, Lifetimes, PrivateKey, PublicKey, Revoking, Store, Timestamp,
};
use serde_json::{Value, json};
use url::Url;

use crate::assertion::{self, Assertion, AssertionError, Brought, Kind};
use crate::dpop::{self, Proved};
use crate::form::Form;
use crate::jws::Jws;
use crate::minting::{FileKey, Minting};
use crate::oauth::{ACCESS_TOKENS, CAPABILITY, EXCHANGE, ID_TOKEN, Refusal};
use crate::providers::Known;
use crate::rates::Rates;
use crate::settings::Settings;

/// For whom proofs and assertions are claimed, in the store: no audience of a call has a space.
const PROOFS: &str = "issuer proof";
const ASSERTIONS: &str = "issuer assertion";

/// How long to wait where the store or a provider does not answer.
const RETRY_SECONDS: u64 = 5;

/// What clients are told if the store fails.
const STORE_SILENT: &str = "the issuer's store does not answer";

/// The life of a grant where none is asked for.
const DEFAULT_SECONDS: u64 = 3600;

/// What a log calls the issuer's own key.
const ISSUER: &str = "issuer";

/// An issuer: its key, its policies, its store and whom it believes.
pub struct Issuing {
    url: Url,
    token_endpoint: Url,
    pub(crate) revocation_endpoint: Url,
    longest: u64,
    key: Box<dyn Minting>,
    set: Issuance,
    store: Store,
    also: Option<Box<dyn RevocationSource>>,
    providers: Vec<Arc<Known>>,
    subjects: Rates,
    keys: Rates,
    /// Of those who give back: whoever may exchange no more can still do that, and the other way round.
    pub(crate) returns: Rates,
}

impl Issuing {
    /// Makes an issuer of what its file says.
    ///
    /// # Errors
    ///
    /// What cannot be so, in words.
    pub fn new(
        settings: &Settings,
        key: PrivateKey,
        set: Issuance,
        store: Store,
    ) -> Result<Issuing, String> {
        settings.check()?;
        let url = settings.url()?;
        let endpoint = |name: &str| {
            let text = format!("{}/{name}", url.as_str().trim_end_matches('/'));
            Url::parse(&text).map_err(|error| error.to_string())
        };
        let (token_endpoint, revocation_endpoint) = (endpoint("token")?, endpoint("revoke")?);
        let plain = settings.accept_plain_http;
        let providers = settings.provider.iter().cloned().map(|provider| {
            let name = provider.name.clone();
            let known = Known::new(provider, plain);
            known.map(Arc::new).map_err(|problem| format!("provider {name}: {problem}"))
        });
        let longest = settings.longest_seconds();
        // What covers a grant must not be forgotten before it has expired.
        let lives = Lifetimes { grant: Duration::from_secs(longest), ..Lifetimes::default() };
        store.revocations().keep_for(&lives);
        Ok(Issuing {
            url,
            token_endpoint,
            revocation_endpoint,
            longest,
            key: Box::new(FileKey::new(key, Duration::from_secs(longest))),
            set,
            store,
            also: None,
            providers: providers.collect::<Result<_, _>>()?,
            subjects: Rates::new(settings.requests()),
            keys: Rates::new(settings.requests()),
            returns: Rates::new(settings.requests()),
        })
    }

    /// Issues nothing that this source refuses, either. The store does not know what a feed of it has refused since it was restored.
    pub fn refusing(mut self, source: impl RevocationSource + 'static) -> Issuing {
        self.also = Some(Box::new(source));
        self
    }

    /// Returns the issuer's URL.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the public key that gateways must trust.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Fetches the keys of all providers, so that the first request need not. Returns the names of those that do not answer.
    pub async fn prepare(&self, now: Timestamp) -> Vec<&str> {
        let mut silent = Vec::new();
        for provider in &self.providers {
            if provider.keys(false, now).await.is_none() {
                silent.push(provider.settings.name.as_str());
            }
        }
        silent
    }

    /// Answers a request to the token endpoint: the form of its body, and its headers `DPoP`.
    ///
    /// # Errors
    ///
    /// [`Refusal`], as the client reads it.
    pub async fn token(
        &self,
        form: &[u8],
        proofs: &[&str],
        now: Timestamp,
    ) -> Result<Value, Refusal> {
        let form = Form::read(form)?;
        let kind = exchanged(&form)?;
        let proved = self.proved(proofs, &self.token_endpoint, now)?;
        // Before anything is counted, claimed or recorded: strangers cost a check of two signatures, and no place.
        let (provider, assertion) =
            self.assertion(form.one("subject_token")?, kind, &proved, now).await?;
        let idp = provider.settings.name.as_str();
        let subject = subject("user", idp, &assertion.sub).map_err(Refusal::request)?;
        self.subjects.count(&subject, now).map_err(Refusal::too_often)?;
        self.keys.count(&proved.key.to_string(), now).map_err(Refusal::too_often)?;
        self.use_up(&proved, now).await?;
        let from = Asker { provider: &provider, subject, assertion: &assertion, proved: &proved };
        self.issue(&form, &from, now).await
    }

    /// Checks the proof of a request to this endpoint.
    pub(crate) fn proved(
        &self,
        proofs: &[&str],
        endpoint: &Url,
        now: Timestamp,
    ) -> Result<Proved, Refusal> {
        let proved = match proofs {
            [proof] => dpop::verify(proof, "POST", endpoint, None, now)?,
            [] => return Err(no_proof("a DPoP proof of the holder's key is needed (RFC 9449)")),
            _ => return Err(no_proof("there are several DPoP headers")),
        };
        match proved.key == self.key.public() {
            true => Err(no_proof("the issuer's own key holds no grant")),
            false => Ok(proved),
        }
    }

    /// Uses up the proof of a request, which was counted.
    pub(crate) async fn use_up(&self, proved: &Proved, now: Timestamp) -> Result<(), Refusal> {
        let first = self.claim(PROOFS, proved.id, proved.remember_until, now).await?;
        first.ok_or_else(|| no_proof("this proof was used before"))
    }

    /// Writes a revocation, which is in force when this answers.
    pub(crate) async fn write(&self, revoking: Revoking, now: Timestamp) -> Result<(), Refusal> {
        self.store.revoke_async(revoking, now).await.map(drop).map_err(|error| {
            tracing::error!(%error, "nothing can be revoked in the store");
            Refusal::later(error.cause(), STORE_SILENT, RETRY_SECONDS)
        })
    }

    /// Finds whose an assertion is, and checks it; once more with newer keys, if it names one that is not known.
    async fn assertion(
        &self,
        text: &str,
        kind: Kind,
        proved: &Proved,
        now: Timestamp,
    ) -> Result<(Arc<Known>, Assertion), Refusal> {
        if text.len() > assertion::MAX_BYTES {
            return Err(AssertionError::TooLarge.into());
        }
        // Whose it says that it is chooses by whose keys it is checked, and nothing else.
        let read = Jws::read(text).map_err(AssertionError::from)?;
        let claims = read.claims().ok_or(AssertionError::Claims)?;
        let said = claims.get("iss").and_then(Value::as_str);
        let provider =
            self.providers.iter().find(|known| Some(known.settings.issuer.as_str()) == said);
        let provider = provider.ok_or(AssertionError::Issuer)?;
        let audience = match kind {
            Kind::IdToken => &provider.settings.id_token_audience,
            Kind::AccessToken => &provider.settings.access_token_audience,
        };
        let audience = audience.as_ref().ok_or(AssertionError::Type)?;
        let expected = provider.settings.of(audience);
        let thumbprint = proved.thumbprint();
        let brought = Brought { nonce: None, thumbprint: &thumbprint };
        let unavailable = || {
            let why = "the identity provider's keys cannot be had now";
            Refusal::later(Cause::NoAnswer, why, RETRY_SECONDS)
        };
        let keys = provider.keys(false, now).await.ok_or_else(unavailable)?;
        let mut checked = assertion::verify(text, kind, &expected, &keys, brought, now);
        if checked.as_ref().is_err_and(|error| error.may_be_new_key()) {
            let keys = provider.keys(true, now).await.ok_or_else(unavailable)?;
            checked = assertion::verify(text, kind, &expected, &keys, brought, now);
        }
        Ok((Arc::clone(provider), checked?))
    }

    async fn issue(&self, form: &Form, from: &Asker<'_>, now: Timestamp) -> Result<Value, Refusal> {
        let Asker { provider, subject, assertion, proved } = from;
        let idp = provider.settings.name.as_str();
        let request = self.request(form, subject, idp, assertion)?;
        let id: String = assertion.id[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let asked = format!("assertion {id} of {idp}, about {subject}, for key {}", proved.key);
        let issued = match decide(&self.set, &request, now) {
            Ok(issued) => issued,
            Err(refused) => {
                let decision = record(&self.set, Err(&refused), &asked, ISSUER, now);
                self.record(decision).await?;
                return Err((&refused).into());
            }
        };
        let capability = self.mint(&issued, proved, now)?;
        self.refuse_revoked(&capability, now)?;
        if !provider.settings.reusable {
            let until = assertion.expires + assertion::SKEW;
            let first = self.claim(ASSERTIONS, assertion.id, until, now).await?;
            let used = "the subject_token was exchanged before; get a new one";
            first.ok_or_else(|| {
                Refusal::of(400, "invalid_request", Cause::AssertionRefused, used)
            })?;
        }
        let decision = record(&self.set, Ok((&issued, &capability)), &asked, ISSUER, now);
        self.record(decision).await?;
        Ok(answer(&issued, &capability))
    }

    fn request(
        &self,
        form: &Form,
        subject: &str,
        idp: &str,
        assertion: &Assertion,
    ) -> Result<Request, Refusal> {
        let mut request = Request::of(subject, idp, Way::Exchange, &assertion.claims);
        for scope in
            form.optional("scope").unwrap_or_default().split(' ').filter(|one| !one.is_empty())
        {
            request = request.scope(scope);
        }
        for name in form.all("audience").chain(form.all("resource")) {
            request = request.audience(name);
        }
        if let Some(client) = &assertion.client {
            request = request.client(client, None);
        }
        if let Some(moment) = assertion.signed_in {
            request = request.signed_in(moment);
        }
        match form.optional("expires_in").map(str::parse::<u64>) {
            Some(Ok(seconds)) => Ok(request.seconds(seconds.min(self.longest))),
            Some(Err(_)) => Err(Refusal::request("expires_in is a whole number of seconds")),
            // Policies see no wish, unless what is given without one is more than the issuer gives.
            None if self.longest < DEFAULT_SECONDS => Ok(request.seconds(self.longest)),
            None => Ok(request),
        }
    }

    fn mint(
        &self,
        issued: &Issued,
        proved: &Proved,
        now: Timestamp,
    ) -> Result<Capability, Refusal> {
        let minted = self.key.mint(issued.grant().holder(proved.key), now);
        minted.map_err(|error| {
            let cause = error.cause();
            tracing::error!(%error, "what policies offer cannot be minted");
            Refusal::later(cause, "what is offered cannot be issued", 60)
        })
    }

    /// Gives nothing that gateways would refuse at once. A subject that was revoked signs in again after a minute: until then its new
    /// grants are covered, too.
    fn refuse_revoked(&self, capability: &Capability, now: Timestamp) -> Result<(), Refusal> {
        let Some(revoked) = self.revoked(capability.chain())? else { return Ok(()) };
        let why = format!("what would be issued is revoked by {}", revoked.by);
        let mut refusal = Refusal::of(400, "access_denied", Cause::Revoked, why);
        refusal.retry_after = revoked.by.retry_after(now).map(|wait| wait.as_secs());
        Err(refusal)
    }

    /// What revokes a chain of this issuer.
    pub(crate) fn revoked(&self, chain: &Chain) -> Result<Option<Revoked>, Refusal> {
        let root = self.public();
        let revoked = match self.store.revocations().revoked(chain, &root) {
            Ok(None) => self.also.as_ref().map_or(Ok(None), |also| also.revoked(chain, &root)),
            revoked => revoked,
        };
        revoked.map_err(|_| Refusal::later(Cause::StoreUnavailable, STORE_SILENT, RETRY_SECONDS))
    }

    /// Claims what is good for once. `None` if it was used before.
    async fn claim(
        &self,
        what: &str,
        id: [u8; 32],
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<()>, Refusal> {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&id);
        let once = SingleUse::new(what, RevocationId::from_bytes(bytes), until);
        match self.store.claim(&once, now).await {
            Ok(Claim::First) => Ok(Some(())),
            Ok(Claim::Again) => Ok(None),
            Err(error) => {
                tracing::error!(%error, "nothing can be claimed in the store");
                Err(Refusal::later(error.cause(), STORE_SILENT, RETRY_SECONDS))
            }
        }
    }

    async fn record(&self, decision: hardtack::Decision) -> Result<(), Refusal> {
        let recorded = self.store.append(vec![decision], Recording::Durable).await;
        recorded.map(drop).map_err(|error| {
            tracing::error!(%error, "nothing can be recorded in the store");
            Refusal::later(error.cause(), STORE_SILENT, RETRY_SECONDS)
        })
    }
}

/// Who asks, as it was proved.
struct Asker<'a> {
    provider: &'a Known,
    subject: String,
    assertion: &'a Assertion,
    proved: &'a Proved,
}

/// What a form asks to be exchanged.
fn exchanged(form: &Form) -> Result<Kind, Refusal> {
    if form.one("grant_type")? != EXCHANGE {
        let why = format!("the only grant type is {EXCHANGE}");
        return Err(Refusal::of(400, "unsupported_grant_type", Cause::MalformedRequest, why));
    }
    if form.optional("requested_token_type").is_some_and(|asked| asked != CAPABILITY) {
        return Err(Refusal::request(format!("the only token type that is given is {CAPABILITY}")));
    }
    if form.optional("actor_token").is_some() || form.optional("actor_token_type").is_some() {
        return Err(Refusal::request(
            "no actor_token is taken: delegate the capability to the actor",
        ));
    }
    match form.one("subject_token_type")? {
        ID_TOKEN => Ok(Kind::IdToken),
        CAPABILITY => Err(Refusal::request(
            "a capability is exchanged only if its last holder's key is hosted here, and none is; delegate it instead",
        )),
        named if ACCESS_TOKENS.contains(&named) => Ok(Kind::AccessToken),
        _ => Err(Refusal::request(
            "this subject_token_type is not taken; take an id token, or an access token that is a JWT (RFC 9068)",
        )),
    }
}

fn no_proof(why: &str) -> Refusal {
    Refusal::of(400, "invalid_dpop_proof", Cause::ProofRefused, why)
}

fn answer(issued: &Issued, capability: &Capability) -> Value {
    let scopes: Vec<&str> = issued.scopes.iter().map(|scope| scope.as_str()).collect();
    json!({
        "access_token": capability.to_base64(),
        "issued_token_type": CAPABILITY,
        // It is none that is sent as a bearer: its holder makes presentations of it (RFC 8693, section 2.2.1).
        "token_type": "N_A",
        "expires_in": issued.seconds,
        "scope": scopes.join(" "),
    })
}

impl std::fmt::Debug for Issuing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuing")
            .field("url", &self.url)
            .field("key", &self.public())
            .finish_non_exhaustive()
    }
}
