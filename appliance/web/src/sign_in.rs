//! Sessions: signing in, who is signed in, signing out, proving again who one is.
//!
//! Invariants: an account that does not exist, is shut, or has no password is answered like a wrong password, in as much time. The second
//! factor is asked for only after the password is right. A directory ([`crate::ldap`]) is asked when the password is not one of an account
//! here.

use std::{net::IpAddr, time::Duration};

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use holdfast_domain::{Action, Resource, may};
use holdfast_metadb::{AuditEntry, GroupCreation, NewSession, SecondFactor, Session, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, Own, Peer, Person, fault, is_recent, person_of, prove_again},
    cookie,
    extract::JsonOf,
    instant::rfc3339_of,
    ldap, limits,
    passwords::verify_password,
    problem::{ApiError, Problem},
    roles::{PersonView, RoleName, names},
    state::WebState,
    totp,
};

/// Signing in.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct SignIn {
    /// E-mail address; where a directory is set, also the name that it knows.
    email: String,
    /// Password.
    password: String,
    /// A code of the second factor, or a recovery code.
    totp: Option<String>,
}

/// Proving again who one is: the code when there is a second factor, else the password.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Verify {
    /// Password.
    password: Option<String>,
    /// A code of the second factor, or a recovery code.
    totp: Option<String>,
}

/// A group of the person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnGroup {
    /// Id.
    id: String,
    /// Name.
    name: String,
    /// What the person may do there; global roles are among them.
    roles: Vec<RoleName>,
    /// The person belongs to it; false: it is seen by a global role.
    member: bool,
}

/// The second factor.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TotpView {
    /// There is one.
    enabled: bool,
    /// The policy asks for one: without it only the account can be used.
    required: bool,
    /// Recovery codes that are left.
    recovery_codes: usize,
}

/// Who is signed in.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CurrentSession {
    /// Id of the session.
    id: String,
    /// The person.
    user: PersonView,
    /// Groups that the person sees, by name.
    groups: Vec<OwnGroup>,
    /// Roles in every group and over the appliance.
    global_roles: Vec<RoleName>,
    /// Where the person signs in: `local`, `oidc` or `ldap`.
    origin: String,
    /// Second factor.
    totp: TotpView,
    /// The person may make groups, by a role or because everyone may.
    makes_groups: bool,
    /// Until when restores and deletes are not asked about, RFC 3339.
    verified_until: String,
    /// When the session ends at the latest, RFC 3339.
    expires: String,
}

/// What is said of a session and its person.
pub(crate) async fn current(state: &WebState, person: &Person, session: &Session) -> Result<CurrentSession, ApiError> {
    let policy = state.access_policy().await?;
    let all = state.metadb().groups().await.map_err(fault)?;
    let of = |group: holdfast_metadb::Group| {
        let roles = person.roles(Some(&group.id));
        let member = person.members.iter().any(|m| m.group == group.id);
        (!roles.is_empty()).then(|| OwnGroup {
            id: group.id.to_string(),
            name: group.name,
            roles: names(&roles),
            member,
        })
    };
    let verified = session.verified.timestamp_millis() + i64::from(policy.verified_minutes) * 60_000;
    Ok(CurrentSession {
        id: session.id.clone(),
        user: PersonView::from(&person.user),
        groups: all.into_iter().filter_map(of).collect(),
        global_roles: names(&person.user.global_roles),
        origin: person.user.origin.clone(),
        totp: TotpView {
            enabled: person.user.has_totp(),
            required: person.needs_totp(policy.totp) && !session.factor_elsewhere,
            recovery_codes: person.user.recovery.len(),
        },
        makes_groups: policy.group_creation == GroupCreation::Everyone
            || may(&person.user.global_roles, Action::Create, Resource::Groups),
        verified_until: rfc3339_of(bson::DateTime::from_millis(verified)),
        expires: rfc3339_of(session.expires),
    })
}

/// Begins a session of a person who has proved who they are, and answers with its cookie.
pub(crate) async fn begin(
    state: &WebState,
    user: &User,
    address: IpAddr,
    headers: &HeaderMap,
    how: &str,
) -> Result<Response, ApiError> {
    begin_by(state, user, Entry::here(), address, headers, how).await
}

/// How someone came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Whose second factor counts in this session.
    pub(crate) factor: SecondFactor,
    /// When they proved who they are; None: just now.
    pub(crate) proved: Option<bson::DateTime>,
}

impl Entry {
    /// By a secret that was shown here, just now.
    pub(crate) const fn here() -> Self {
        Self { factor: SecondFactor::Here, proved: None }
    }
}

/// The same, and how the person came in.
pub(crate) async fn begin_by(
    state: &WebState,
    user: &User,
    entry: Entry,
    address: IpAddr,
    headers: &HeaderMap,
    how: &str,
) -> Result<Response, ApiError> {
    let policy = state.access_policy().await?;
    let lifetime = Duration::from_secs(u64::from(policy.session_hours) * 3600);
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let new = NewSession {
        user: user.id.clone(),
        lifetime,
        idle: Duration::from_secs(u64::from(policy.session_idle_minutes) * 60),
        address: address.to_string(),
        agent: agent.to_owned(),
        verified: entry.proved,
        factor_elsewhere: entry.factor == SecondFactor::Provider,
    };
    let person = person_of(state, &user.id).await?.ok_or_else(wrong)?;
    let (session, secret) = state.metadb().create_session(new).await.map_err(fault)?;
    end_former(state, user, headers).await?;
    let view = current(state, &person, &session).await?;
    let caller = Caller::signed_in(person, session, address);
    state.audit(&caller, None, how, &user.email).await;
    let mut response = (StatusCode::CREATED, Json(view)).into_response();
    set_cookie(&mut response, cookie::set(&secret, lifetime.as_secs(), state.secure()));
    Ok(response)
}

/// Ends the session whose cookie the new one replaces in this browser: nobody could end it there any more.
async fn end_former(state: &WebState, user: &User, headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(secret) = cookie::read(headers, state.secure()) else { return Ok(()) };
    let former = state.metadb().verify_session(&secret).await.map_err(fault)?;
    if let Some(former) = former.filter(|former| former.user == user.id) {
        state.metadb().end_session(&user.id, &former.id).await.map_err(fault)?;
    }
    Ok(())
}

fn set_cookie(response: &mut Response, value: Option<HeaderValue>) {
    if let Some(value) = value {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

fn wrong() -> ApiError {
    let title = "The sign-in is not right";
    ApiError::new(StatusCode::UNAUTHORIZED, "credentials", title, "the e-mail address or the password is wrong")
}

/// Signs in. 401 `totpRequired`: the password is right, now send a code too. 429 `lockedOut`: wait.
#[utoipa::path(post, path = "/sessions", tag = "account", request_body = SignIn, security(()), responses(
    (status = 201, body = CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_in(
    State(state): State<WebState>,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(body): JsonOf<SignIn>,
) -> Result<Response, ApiError> {
    limits::sign_in(&state, &body.email, address).await?;
    let found = state.metadb().user_by_email(&body.email).await.map_err(fault)?;
    let usable = found.filter(|user| user.disabled.is_none());
    let phc = usable.as_ref().and_then(|user| user.password.as_deref());
    let right = verify_password(&body.password, phc).await;
    let by = match usable.filter(|_| right) {
        Some(user) => Some((user, SecondFactor::Here)),
        None => ldap::sign_in(&state, &body.email, &body.password, address).await?,
    };
    let Some((user, factor)) = by else {
        refused(&state, &body.email, address, "sign-in refused").await;
        return Err(wrong());
    };
    if user.has_totp() && factor == SecondFactor::Here {
        let Some(code) = body.totp.as_deref() else { return Err(totp::code_needed()) };
        if !totp::take(&state, &user, code).await? {
            refused(&state, &body.email, address, "second factor refused").await;
            return Err(totp::wrong_code());
        }
    }
    limits::signed_in(&state, &body.email, address).await?;
    let how = if user.origin == "ldap" { "signed in by the directory" } else { "signed in" };
    begin_by(&state, &user, Entry { factor, proved: None }, address, &headers, how).await
}

/// True when this is the person's password: here, or in the directory where they sign in. Of someone who signs in by a provider it never is.
pub(crate) async fn is_password(state: &WebState, user: &User, password: &str) -> Result<bool, ApiError> {
    match user.origin.as_str() {
        "ldap" => ldap::proves(state, user, password).await,
        _ => Ok(verify_password(password, user.password.as_deref()).await),
    }
}

/// Refuses someone at their own account who does not show their password once more: an open browser is not enough for what gives lasting
/// access. Whoever signs in by a provider has none to show: they must have signed in just now.
pub(crate) async fn prove(state: &WebState, own: &Own, password: &str) -> Result<(), ApiError> {
    let (user, session) = (&own.person.user, &own.session);
    limits::prove(state, session).await?;
    if user.origin == "oidc" {
        let minutes = state.access_policy().await?.verified_minutes;
        if !is_recent(session.verified.max(session.created), minutes) {
            return Err(prove_again(user));
        }
    } else if !is_password(state, user, password).await? {
        let title = "The sign-in is not right";
        return Err(ApiError::new(StatusCode::UNAUTHORIZED, "credentials", title, "the password is wrong"));
    }
    limits::proved(state, session).await
}

/// Notes a refusal. What was typed as an address may be anything: it is cut and cleaned.
pub(crate) async fn refused(state: &WebState, email: &str, address: IpAddr, action: &str) {
    let target = email.chars().filter(|c| !c.is_control()).take(100).collect();
    let entry = AuditEntry {
        kind: "nobody".into(),
        address: address.to_string(),
        action: action.to_owned(),
        target,
        ..AuditEntry::default()
    };
    state.note(entry).await;
}

/// Who is signed in, and what they may do.
#[utoipa::path(get, path = "/sessions/current", tag = "account", responses(
    (status = 200, body = CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_session(State(state): State<WebState>, own: Own) -> Result<Json<CurrentSession>, ApiError> {
    current(&state, &own.person, &own.session).await.map(Json)
}

/// Signs out.
#[utoipa::path(delete, path = "/sessions/current", tag = "account", responses(
    (status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn sign_out(State(state): State<WebState>, own: Own) -> Result<Response, ApiError> {
    state.metadb().end_session(&own.person.user.id, &own.session.id).await.map_err(fault)?;
    state.audit(&own.caller, None, "signed out", &own.person.user.email).await;
    let mut response = StatusCode::NO_CONTENT.into_response();
    set_cookie(&mut response, cookie::clear(state.secure()));
    Ok(response)
}

/// Proves again who one is: restores and deletes ask for it (403 `reauthenticationRequired`).
#[utoipa::path(post, path = "/sessions/current/verify", tag = "account", request_body = Verify, responses(
    (status = 200, body = CurrentSession), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn verify_again(
    State(state): State<WebState>,
    own: Own,
    JsonOf(body): JsonOf<Verify>,
) -> Result<Json<CurrentSession>, ApiError> {
    let user = &own.person.user;
    let address = own.caller.address();
    limits::prove(&state, &own.session).await?;
    let right = if user.has_totp() {
        let code = body.totp.as_deref().ok_or_else(totp::code_needed)?;
        totp::take(&state, user, code).await?
    } else {
        is_password(&state, user, body.password.as_deref().unwrap_or_default()).await?
    };
    if !right {
        refused(&state, &user.email, address, "proof of identity refused").await;
        return Err(if user.has_totp() { totp::wrong_code() } else { wrong() });
    }
    limits::proved(&state, &own.session).await?;
    state.metadb().session_verified(&own.session.hash).await.map_err(fault)?;
    let session = Session { verified: bson::DateTime::now(), ..own.session };
    current(&state, &own.person, &session).await.map(Json)
}
