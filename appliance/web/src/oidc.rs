//! Sign-in by an OpenID Connect provider: authorization code with PKCE, state and nonce.
//!
//! Invariants: what belongs to a sign-in under way (nonce, verifier, which browser) stays on the server, is good once and for ten minutes; the
//! browser that ends a sign-in is the one that began it, known by a cookie of its own; the issuer that the provider says is the one that
//! is set, and the token is signed by its keys; redirects of the provider's own endpoints are not followed, and none of them is talked to
//! in the clear. What the provider remembers of a browser is no proof of who sits there: restores and deletes count from the time when the
//! provider last asked (`auth_time`).
//!
//! The session's cookie is SameSite=Strict and cannot be set by a page that the provider sends the browser to: the page `/signed-in` of the
//! app takes the code there and posts it here.

use std::{pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bson::{DateTime, doc};
use holdfast_metadb::{OidcSettings, OneTimeKind, SecondFactor, SecretKind, hash_secret, new_secret};
use holdfast_service::client_config;
use openidconnect::{
    AccessTokenHash, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet,
    EndpointSet, HttpRequest, HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge,
    PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
    core::{
        CoreAuthPrompt, CoreAuthenticationFlow, CoreClient, CoreIdToken, CoreJwsSigningAlgorithm, CoreProviderMetadata,
        CoreTokenResponse,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::{
    arrivals::{self, Arrival},
    caller::{Peer, fault, person_of},
    cookie,
    extract::JsonOf,
    limits,
    problem::{ApiError, Problem},
    sign_in::{self, Entry},
    sign_in_settings::local,
    state::WebState,
    totp,
};

/// Name of the setting that the client's secret is sealed for.
pub(crate) const NAME: &str = "oidc";
/// How long a sign-in may take at the provider, and how long a code of the second factor is waited for: ten minutes.
const LIFETIME: Duration = Duration::from_secs(600);
/// Longest wait for one answer of the provider.
const STEP_MAX: Duration = Duration::from_secs(10);
/// Longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Longest code, state and word of the provider, in bytes.
const WORD_BYTES_MAX: usize = 8192;
/// How far the provider's clock may be behind: a minute.
const SKEW_MILLIS: i64 = 60_000;

/// Signatures that are taken: of the provider's published keys. Never `none`, nor the client's secret, which others may know.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

type Client =
    CoreClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointMaybeSet, EndpointMaybeSet>;

/// What to begin.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginOidc {
    /// Ask the provider to ask for the password again, also of someone who is signed in there.
    #[serde(default)]
    again: bool,
}

/// A sign-in that was begun.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OidcBegun {
    /// Where to send the browser.
    url: String,
}

/// What the provider sent back, as it stands in the address of the page.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FinishOidc {
    /// State of the sign-in.
    state: String,
    /// Code; null: the provider refused.
    code: Option<String>,
    /// Issuer, where the provider says it (RFC 9207).
    iss: Option<String>,
    /// Why the provider refused.
    error: Option<String>,
}

/// A code of the second factor is needed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CodeNeeded {
    /// Send it with the code to `/sign-ins/code`, within ten minutes.
    token: String,
}

/// A code of the second factor, after a sign-in at the provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendCode {
    /// As the answer of the sign-in said.
    token: String,
    /// A code of the second factor, or a recovery code.
    totp: String,
}

/// A request to the provider that was not answered as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpError {
    /// No answer.
    #[error("the provider does not answer")]
    Request(#[from] reqwest::Error),
    /// More than anyone needs.
    #[error("the provider's answer is longer than a mebibyte")]
    Long,
    /// An answer that is none.
    #[error("the provider's answer cannot be read")]
    Form(#[from] axum::http::Error),
}

async fn fetch(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let mut answer = client.execute(reqwest::Request::try_from(request)?).await?;
    let mut made = axum::http::Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        made = made.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(part) = answer.chunk().await? {
        if body.len() + part.len() > ANSWER_BYTES_MAX {
            return Err(HttpError::Long);
        }
        body.extend_from_slice(&part);
    }
    Ok(made.body(body)?)
}

type Fetched = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send>>;

fn fetcher(client: &reqwest::Client) -> impl Fn(HttpRequest) -> Fetched + Send + Sync + use<> {
    let client = Arc::new(client.clone());
    move |request: HttpRequest| -> Fetched {
        let client = client.clone();
        Box::pin(async move { fetch(&client, request).await })
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let line = source.to_string();
        if !text.contains(&line) {
            text = format!("{text}: {line}");
        }
        next = source.source();
    }
    text
}

/// The provider as it describes itself, and how it is reached.
pub(crate) struct Provider {
    set: OidcSettings,
    metadata: CoreProviderMetadata,
    client: Client,
    http: reqwest::Client,
}

/// Where the provider sends browsers back to.
pub(crate) fn redirect_uri(state: &WebState) -> String {
    format!("{}/signed-in", state.public_url())
}

impl Provider {
    /// Reads the provider's description and keys. Err: a sentence.
    pub(crate) async fn discover(state: &WebState, set: OidcSettings) -> Result<Result<Self, String>, ApiError> {
        let secret = match &set.secret_sealed {
            Some(sealed) => Some(ClientSecret::new(state.open_setting(NAME, &sealed.bytes)?)),
            None => None,
        };
        let redirect = redirect_uri(state);
        Ok(Self::reach(set, secret, redirect).await)
    }

    async fn reach(set: OidcSettings, secret: Option<ClientSecret>, redirect: String) -> Result<Self, String> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(STEP_MAX)
            .connect_timeout(STEP_MAX);
        if let Some(pem) = &set.ca {
            builder = builder.tls_backend_preconfigured(client_config(pem).map_err(|error| chain(&error))?);
        }
        let http = builder.build().map_err(|error| chain(&error))?;
        let issuer = IssuerUrl::new(set.issuer.clone()).map_err(|error| format!("the issuer is no URL: {error}"))?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &fetcher(&http)).await;
        let metadata = metadata.map_err(|error| chain(&error))?;
        let endpoints = [
            Some(metadata.authorization_endpoint().url()),
            metadata.token_endpoint().map(|url| url.url()),
            metadata.userinfo_endpoint().map(|url| url.url()),
            Some(metadata.jwks_uri().url()),
        ];
        if let Some(clear) = endpoints.into_iter().flatten().find(|url| !kept_secret(url)) {
            return Err(format!("the provider names an address that is not https: {clear}"));
        }
        let redirect = RedirectUrl::new(redirect).map_err(|error| format!("our own address is no URL: {error}"))?;
        let id = ClientId::new(set.client_id.clone());
        let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret).set_redirect_uri(redirect);
        Ok(Self { set, metadata, client, http })
    }

    /// Keys that the provider publishes.
    pub(crate) fn keys(&self) -> usize {
        self.metadata.jwks().keys().len()
    }

    /// Changes a code into who the person is. Err: a sentence.
    async fn claims(&self, code: String, verifier: String, nonce: String) -> Result<Map<String, Value>, String> {
        let fetcher = fetcher(&self.http);
        let request = self.client.exchange_code(AuthorizationCode::new(code)).map_err(|error| chain(&error))?;
        let answer = request.set_pkce_verifier(PkceCodeVerifier::new(verifier)).request_async(&fetcher).await;
        let answer = answer.map_err(|error| chain(&error))?;
        let (mut said, subject) = self.verified(&answer, nonce)?;
        if subject.is_empty() {
            return Err("the provider does not say who it is: the claim `sub` is empty".into());
        }
        let groups = &self.set.groups_claim;
        let lacks = !said.contains_key("email") || (!groups.is_empty() && !said.contains_key(groups));
        if lacks && let Some(url) = self.metadata.userinfo_endpoint() {
            let more = self.userinfo(url.as_str(), answer.access_token().secret(), &subject).await?;
            for (name, value) in more {
                said.entry(name).or_insert(value);
            }
        }
        Ok(said)
    }

    /// What the ID token says, and about whom, after everything about it was checked.
    fn verified(&self, answer: &CoreTokenResponse, nonce: String) -> Result<(Map<String, Value>, String), String> {
        let token = answer.id_token().ok_or("the provider sent no ID token: the scope `openid` must be allowed")?;
        let verifier = self.client.id_token_verifier().set_allowed_algs(ALGORITHMS);
        let nonce = Nonce::new(nonce);
        let claims = token.claims(&verifier, &nonce).map_err(|error| chain(&error))?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|error| chain(&error))?;
            let key = token.signing_key(&verifier).map_err(|error| chain(&error))?;
            let actual = AccessTokenHash::from_token(answer.access_token(), algorithm, key);
            if actual.map_err(|error| chain(&error))? != *expected {
                return Err("the access token does not belong to the ID token".into());
            }
        }
        Ok((payload(token)?, claims.subject().as_str().to_owned()))
    }

    /// What the provider says beside the token.
    async fn userinfo(&self, url: &str, token: &str, subject: &str) -> Result<Map<String, Value>, String> {
        let request = axum::http::Request::get(url)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::ACCEPT, "application/json")
            .body(Vec::new())
            .map_err(|error| chain(&error))?;
        let answer = fetch(&self.http, request).await.map_err(|error| chain(&error))?;
        if !answer.status().is_success() {
            return Err(format!("the provider's userinfo answers {}", answer.status()));
        }
        // Where it is signed (`application/jwt`) nothing is taken from it.
        let Ok(said) = serde_json::from_slice::<Map<String, Value>>(answer.body()) else { return Ok(Map::new()) };
        if said.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err("the provider's userinfo is about someone else".into());
        }
        Ok(said)
    }
}

/// True for an address that is talked to by TLS, or that is on this machine.
pub(crate) fn kept_secret(url: &url::Url) -> bool {
    url.scheme() == "https" || (url.scheme() == "http" && url.host_str().is_some_and(local))
}

/// When the provider last asked who it is, as far as it says so: never later than now. Err: a sentence, when it was to ask again and did not.
fn proved(said: &Map<String, Value>, again: bool, begun: DateTime, now: DateTime) -> Result<Option<DateTime>, String> {
    let seconds = said.get("auth_time").and_then(Value::as_i64);
    let at = seconds.map(|seconds| DateTime::from_millis(seconds.saturating_mul(1000)).min(now));
    if !again {
        return Ok(at);
    }
    match at {
        Some(at) if at.timestamp_millis() + SKEW_MILLIS >= begun.timestamp_millis() => Ok(Some(at)),
        Some(_) => Err("the provider was to ask again who you are and did not".into()),
        None => Err("the provider does not say when it asked who you are (claim `auth_time`): with a second factor that you set up in \
                     your account here it need not"
            .into()),
    }
}

/// What a token says. Its signature was checked before.
fn payload(token: &CoreIdToken) -> Result<Map<String, Value>, String> {
    let text = token.to_string();
    let middle = text.split('.').nth(1).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD.decode(middle).map_err(|error| format!("the ID token cannot be read: {error}"))?;
    serde_json::from_slice(&bytes).map_err(|error| format!("the ID token cannot be read: {error}"))
}

/// Words of a claim: a list, or one.
fn list(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// The address is verified: as the provider says, or by the settings where it says nothing.
fn verified(claim: Option<&Value>, trusted: bool) -> bool {
    match claim {
        Some(Value::Bool(verified)) => *verified,
        // Some providers write it as text.
        Some(Value::String(text)) => text == "true",
        None => trusted,
        Some(_) => false,
    }
}

fn arrival(set: &OidcSettings, said: &Map<String, Value>, address: std::net::IpAddr) -> Arrival {
    let text = |name: &str| said.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let name = [text("name"), text("preferred_username")].into_iter().find(|name| !name.is_empty());
    Arrival {
        origin: "oidc",
        subject: format!("{} {}", set.issuer, text("sub")),
        email: text("email"),
        email_verified: verified(said.get("email_verified"), set.trust_email),
        name: name.unwrap_or_default(),
        groups: if set.groups_claim.is_empty() { Vec::new() } else { list(said.get(&set.groups_claim)) },
        address,
    }
}

fn not_set() -> ApiError {
    ApiError::refused("oidcNotSet", "this appliance has no sign-in provider: sign in with your password")
}

fn over() -> ApiError {
    let detail = "this sign-in is over: it was used already, or took longer than ten minutes. Begin again";
    ApiError::new(StatusCode::NOT_FOUND, "signInOver", "The sign-in is over", detail)
}

fn refused(why: &str) -> ApiError {
    let title = "The provider's sign-in was not taken";
    let detail = format!("the sign-in was not taken: {why}. Begin again; if it stays so, tell your administrator");
    ApiError::new(StatusCode::UNAUTHORIZED, "signInRefused", title, detail)
}

/// Notes a refusal and says why.
async fn refuse(state: &WebState, issuer: &str, address: std::net::IpAddr, why: &str) -> ApiError {
    sign_in::refused(state, issuer, address, "sign-in by the provider refused").await;
    tracing::warn!(why, issuer, "a sign-in by the provider was refused");
    refused(why)
}

fn away(why: &str) -> ApiError {
    tracing::warn!(why, "the sign-in provider does not help");
    let detail = "the sign-in provider does not answer as it should: try again, or ask your administrator, whose page of settings \
                  can test it";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "providerAway", "The provider does not answer", detail)
        .retry_after(5)
}

fn with_cookie(mut response: Response, value: Option<HeaderValue>) -> Response {
    if let Some(value) = value {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    response
}

/// Begins a sign-in at the provider: send the browser to the address of the answer.
#[utoipa::path(post, path = "/sign-ins/oidc", tag = "account", request_body = BeginOidc, security(()), responses(
    (status = 200, body = OidcBegun), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn begin_oidc(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(begin): JsonOf<BeginOidc>,
) -> Result<Response, ApiError> {
    limits::elsewhere(&state, address).await?;
    let set = state.metadb().oidc_settings().await.map_err(fault)?.ok_or_else(not_set)?;
    let provider = Provider::discover(&state, set).await?.map_err(|why| away(&why))?;
    // Two windows of one browser may sign in at once: they share the cookie.
    let known = cookie::read_sign_in(&headers, state.secure()).filter(|secret| secret.len() < WORD_BYTES_MAX);
    let browser = known.unwrap_or_else(|| new_secret(SecretKind::OneTime));
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = Nonce::new_random();
    let facts = doc! {
        "issuer": &provider.set.issuer, "clientId": &provider.set.client_id, "nonce": nonce.secret(),
        "verifier": verifier.secret(), "browser": hash_secret(&browser), "again": begin.again, "begun": DateTime::now(),
    };
    let secret = state.metadb().create_one_time(OneTimeKind::SignIn, facts, LIFETIME).await.map_err(fault)?;
    let mut request = provider
        .client
        .authorize_url(CoreAuthenticationFlow::AuthorizationCode, || CsrfToken::new(secret), || nonce)
        .set_pkce_challenge(challenge);
    for scope in &provider.set.scopes {
        request = request.add_scope(Scope::new(scope.clone()));
    }
    if begin.again {
        // By the standard its answer then says when it asked.
        request = request.add_prompt(CoreAuthPrompt::Login).set_max_age(Duration::ZERO);
    }
    let (url, _, _) = request.url();
    let response = Json(OidcBegun { url: url.to_string() }).into_response();
    Ok(with_cookie(response, cookie::set_sign_in(&browser, LIFETIME.as_secs(), state.secure())))
}

/// The hash of the cookie by which the browser is known that began a sign-in.
fn browser(state: &WebState, headers: &HeaderMap) -> Option<String> {
    cookie::read_sign_in(headers, state.secure()).map(|secret| hash_secret(&secret))
}

/// Ends a sign-in at the provider, with what it sent back. 202: a code of the second factor is needed.
#[utoipa::path(post, path = "/sign-ins/oidc/finish", tag = "account", request_body = FinishOidc, security(()), responses(
    (status = 201, body = sign_in::CurrentSession), (status = 202, body = CodeNeeded),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn finish_oidc(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(finish): JsonOf<FinishOidc>,
) -> Result<Response, ApiError> {
    limits::elsewhere(&state, address).await?;
    let facts = state.metadb().take_one_time(OneTimeKind::SignIn, &finish.state).await.map_err(fault)?;
    let facts = facts.ok_or_else(over)?;
    let text = |name: &str| facts.get_str(name).unwrap_or_default().to_owned();
    if browser(&state, &headers).is_none_or(|hash| hash != text("browser")) {
        return Err(refuse(&state, &text("issuer"), address, "it was begun in another browser").await);
    }
    let set = state.metadb().oidc_settings().await.map_err(fault)?.ok_or_else(not_set)?;
    if (set.issuer.as_str(), set.client_id.as_str()) != (text("issuer").as_str(), text("clientId").as_str()) {
        return Err(refuse(&state, &text("issuer"), address, "the provider was changed meanwhile").await);
    }
    if finish.iss.as_ref().is_some_and(|iss| *iss != set.issuer) {
        return Err(refuse(
            &state,
            &text("issuer"),
            address,
            "the answer comes from another provider than the one that was asked",
        )
        .await);
    }
    let Some(code) = finish.code.filter(|code| !code.is_empty() && code.len() < WORD_BYTES_MAX) else {
        let said = finish.error.unwrap_or_default();
        let said: String = said.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(60).collect();
        return Err(refuse(&state, &text("issuer"), address, &format!("the provider refused it ({said})")).await);
    };
    let provider = Provider::discover(&state, set).await?.map_err(|why| away(&why))?;
    let said = match provider.claims(code, text("verifier"), text("nonce")).await {
        Ok(said) => said,
        Err(why) => return Err(refuse(&state, &text("issuer"), address, &why).await),
    };
    let (again, begun) = (facts.get_bool("again").unwrap_or_default(), facts.get_datetime("begun").copied());
    let now = DateTime::now();
    let proved = match proved(&said, again, begun.unwrap_or(now), now) {
        Ok(at) => at.unwrap_or(DateTime::from_millis(0)),
        Err(why) => return Err(refuse(&state, &text("issuer"), address, &why).await),
    };
    let arrival = arrival(&provider.set, &said, address);
    let rules = &provider.set.arrivals;
    let user = arrivals::admit(&state, rules, &arrival).await?;
    if user.has_totp() && rules.second_factor == SecondFactor::Here {
        let facts = doc! { "user": user.id.clone(), "browser": text("browser") };
        let token = state.metadb().create_one_time(OneTimeKind::SignInCode, facts, LIFETIME).await.map_err(fault)?;
        return Ok((StatusCode::ACCEPTED, Json(CodeNeeded { token })).into_response());
    }
    let how = "signed in by the provider";
    let entry = Entry { factor: rules.second_factor, proved: Some(proved) };
    let response = sign_in::begin_by(&state, &user, entry, address, &headers, how).await?;
    Ok(with_cookie(response, cookie::clear_sign_in(state.secure())))
}

/// Ends a sign-in at the provider with a code of the second factor.
#[utoipa::path(post, path = "/sign-ins/code", tag = "account", request_body = SendCode, security(()), responses(
    (status = 201, body = sign_in::CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn send_code(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(send): JsonOf<SendCode>,
) -> Result<Response, ApiError> {
    limits::secret(&state, address).await?;
    let facts = state.metadb().look_at_one_time(OneTimeKind::SignInCode, &send.token).await.map_err(fault)?;
    let facts = facts.ok_or_else(over)?;
    let of_browser = browser(&state, &headers).is_some_and(|hash| facts.get_str("browser").is_ok_and(|b| b == hash));
    let id = facts.get_str("user").ok().and_then(|id| id.parse().ok()).filter(|_| of_browser).ok_or_else(over)?;
    let person = person_of(&state, &id).await?.ok_or_else(arrivals::shut)?;
    let user = &person.user;
    limits::sign_in(&state, &user.email, address).await?;
    if !totp::take(&state, user, &send.totp).await? {
        sign_in::refused(&state, &user.email, address, "second factor refused").await;
        return Err(totp::wrong_code());
    }
    // Good once: of two that send the right code at the same time one is late.
    let taken = state.metadb().take_one_time(OneTimeKind::SignInCode, &send.token).await.map_err(fault)?;
    taken.ok_or_else(over)?;
    limits::signed_in(&state, &user.email, address).await?;
    let how = "signed in by the provider";
    let response = sign_in::begin_by(&state, user, Entry::here(), address, &headers, how).await?;
    Ok(with_cookie(response, cookie::clear_sign_in(state.secure())))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_is_verified_only_when_it_is_said_or_trusted() {
        assert!(verified(Some(&json!(true)), false) && verified(Some(&json!("true")), false));
        assert!(!verified(Some(&json!(false)), true) && !verified(Some(&json!("false")), true));
        assert!(!verified(None, false) && verified(None, true));
        assert!(!verified(Some(&json!(1)), true), "what is no answer is none");
    }

    #[test]
    fn nothing_secret_goes_in_the_clear() {
        for (url, good) in [
            ("https://id.example.org/token", true),
            ("http://127.0.0.1:8/token", true),
            ("http://localhost/token", true),
            ("http://id.example.org/token", false),
            ("http://localhost.example.org/", false),
            ("ftp://localhost/", false),
        ] {
            assert_eq!(kept_secret(&url.parse().unwrap()), good, "{url}");
        }
    }

    #[test]
    fn what_the_provider_remembers_proves_nothing() {
        let of = |value: Value| json!({ "auth_time": value }).as_object().unwrap().clone();
        let at = |seconds: i64| DateTime::from_millis(seconds * 1000);
        let (begun, now) = (at(10_000), at(10_030));
        assert_eq!(proved(&of(json!(5_000)), false, begun, now), Ok(Some(at(5_000))));
        assert_eq!(
            proved(&of(json!(99_999)), false, begun, now),
            Ok(Some(now)),
            "nobody proves anything in the future"
        );
        assert_eq!(proved(&Map::new(), false, begun, now), Ok(None));
        assert_eq!(proved(&of(json!(10_010)), true, begun, now), Ok(Some(at(10_010))));
        assert_eq!(proved(&of(json!(9_950)), true, begun, now), Ok(Some(at(9_950))), "its clock is behind");
        for said in [of(json!(9_000)), of(json!("10010")), of(Value::Null), Map::new()] {
            assert!(proved(&said, true, begun, now).is_err(), "{said:?}");
        }
    }

    #[test]
    fn who_arrives() {
        let set = OidcSettings {
            issuer: "https://id.example".into(),
            groups_claim: "groups".into(),
            ..OidcSettings::default()
        };
        let said = json!({ "sub": "17", "email": "a@b", "preferred_username": "ada", "groups": ["x", 3, "y"] });
        let arrival = arrival(&set, said.as_object().unwrap(), std::net::IpAddr::from([127, 0, 0, 1]));
        assert_eq!(arrival.subject, "https://id.example 17");
        assert_eq!((arrival.name.as_str(), arrival.groups), ("ada", vec!["x".to_owned(), "y".to_owned()]));
        assert!(!arrival.email_verified);
        assert_eq!(list(Some(&json!("one"))), ["one"]);
    }
}
