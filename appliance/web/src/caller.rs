//! Who asks, and whether they may: a person's session or an API key, and the group or backup job that a path names.
//!
//! Every request to the API goes through [`admit`], which finds the route's row ([`crate::rows`]) and decides by the table of `domain`
//! before any handler runs; there is no other way in. What a caller may not see is answered as what does not exist.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, RawPathParams, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use holdfast_domain::{Action, Classify, GroupId, Resource, RestoreJobId, Role, UserId, may};
use holdfast_metadb::{ApiKey, BackupJob, Group, GroupCreation, Member, MetaError, Session, TotpPolicy, User};

use crate::{
    cookie, idempotency,
    origin::{Origin, is_unsafe, origin},
    peer::peer,
    problem::ApiError,
    rates,
    rows::{self, Need, Row},
    state::WebState,
};

/// Answers an error of a database.
pub(crate) fn fault<E: Classify + std::error::Error + 'static>(error: E) -> ApiError {
    ApiError::from_class(error.class(), &error)
}

/// Answers an error of the app database where the caller can have caused it.
pub(crate) fn meta_fault(error: MetaError) -> ApiError {
    match &error {
        MetaError::LastOwner => ApiError::conflict("lastOwner", error.to_string()),
        MetaError::Exists { .. } => ApiError::conflict("exists", error.to_string()),
        MetaError::NotFound { .. } => ApiError::not_found(error.to_string()),
        MetaError::Changed => ApiError::changed(),
        _ => fault(error),
    }
}

/// A person with their groups.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// The account.
    pub(crate) user: User,
    /// Groups and roles.
    pub(crate) members: Vec<Member>,
}

impl Person {
    /// Roles in a group (global ones count everywhere); None: the global ones.
    pub(crate) fn roles(&self, group: Option<&GroupId>) -> Vec<Role> {
        let own = self.members.iter().filter(|m| group == Some(&m.group)).flat_map(|m| m.roles.iter().copied());
        let mut roles: Vec<Role> = own.chain(self.user.global_roles.iter().copied()).collect();
        roles.sort_unstable();
        roles.dedup();
        roles
    }

    /// The policy asks this person for a second factor.
    pub(crate) fn needs_totp(&self, policy: TotpPolicy) -> bool {
        match policy {
            TotpPolicy::Off | TotpPolicy::Optional => false,
            TotpPolicy::GlobalRoles => !self.user.global_roles.is_empty(),
            TotpPolicy::All => true,
        }
    }
}

/// What a request showed.
#[derive(Debug)]
enum Who {
    /// A key; of a person, or of nobody.
    Key { key: ApiKey, owner: Option<Person> },
    /// A session's cookie.
    Session { session: Session, person: Person },
}

#[derive(Debug)]
struct Inner {
    who: Who,
    address: IpAddr,
}

/// Whoever is behind a request. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Inner>);

impl Caller {
    /// Roles in a group; None: over the appliance. Of a person's key those of the key: see [`Caller::may`].
    fn roles(&self, group: Option<&GroupId>) -> Vec<Role> {
        match &self.0.who {
            Who::Session { person, .. } => person.roles(group),
            Who::Key { key, .. } => {
                if key.group.is_none() || key.group.as_ref() == group {
                    vec![key.role]
                } else {
                    Vec::new()
                }
            }
        }
    }

    /// True when the table allows it in this group; None: over the appliance. A person's key needs it twice: by its own role and by the
    /// person's.
    pub(crate) fn may(&self, action: Action, resource: Resource, group: Option<&GroupId>) -> bool {
        let owner = match &self.0.who {
            Who::Key { owner: Some(person), .. } => may(&person.roles(group), action, resource),
            _ => true,
        };
        owner && may(&self.roles(group), action, resource)
    }

    /// True when the caller may hand out (or take away) this role in the group; None: over the appliance.
    pub(crate) fn may_grant(&self, role: Role, group: Option<&GroupId>) -> bool {
        let one = |roles: Vec<Role>| roles.into_iter().any(|own| own.may_grant(role));
        let owner = match &self.0.who {
            Who::Key { owner: Some(person), .. } => one(person.roles(group)),
            _ => true,
        };
        owner && one(self.roles(group))
    }

    /// True when the caller may itself do all that a role allows there: what it may put into a key.
    pub(crate) fn holds(&self, role: Role, group: Option<&GroupId>) -> bool {
        holdfast_domain::ACCESS_TABLE
            .iter()
            .filter(|(_, _, roles)| roles.contains(&role))
            .all(|(resource, action, _)| self.may(*action, *resource, group))
    }

    /// True when the caller may know of this group.
    pub(crate) fn sees(&self, group: &GroupId) -> bool {
        self.may(Action::Read, Resource::Groups, Some(group))
    }

    /// The person, when there is one behind a session.
    pub(crate) fn person(&self) -> Option<(&Person, &Session)> {
        match &self.0.who {
            Who::Session { session, person } => Some((person, session)),
            Who::Key { .. } => None,
        }
    }

    /// The account behind a session or a key: of a key its person, or who made it. What nobody may do for themselves is not done by a key
    /// either.
    pub(crate) fn behind(&self) -> Option<&UserId> {
        match &self.0.who {
            Who::Session { person, .. } => Some(&person.user.id),
            Who::Key { key, .. } => key.user.as_ref().or(key.maker.as_ref()),
        }
    }

    /// The person whose rights count, of a session or of a person's key.
    fn subject(&self) -> Option<&Person> {
        match &self.0.who {
            Who::Session { person, .. } => Some(person),
            Who::Key { owner, .. } => owner.as_ref(),
        }
    }

    /// Who it is, for the audit log.
    pub(crate) fn name(&self) -> &str {
        match &self.0.who {
            Who::Key { key, .. } => &key.label,
            Who::Session { person, .. } => &person.user.email,
        }
    }

    /// Kind of who, for the audit log.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.0.who {
            Who::Key { .. } => "apiKey",
            Who::Session { .. } => "user",
        }
    }

    /// Tells this key or person from every other, and tells nobody the key: the start of its hash, or the account's id.
    pub(crate) fn fingerprint(&self) -> &str {
        match &self.0.who {
            Who::Key { key, .. } => key.hash.get(..16).unwrap_or_default(),
            Who::Session { person, .. } => person.user.id.as_str(),
        }
    }

    /// Where the request comes from.
    pub(crate) fn address(&self) -> IpAddr {
        self.0.address
    }

    /// Someone who has just signed in.
    pub(crate) fn signed_in(person: Person, session: Session, address: IpAddr) -> Self {
        Self(Arc::new(Inner { who: Who::Session { session, person }, address }))
    }
}

pub(crate) fn forbidden(detail: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "This is not allowed to you", detail)
}

fn unauthorized(detail: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "apiKey", "Sign in, or send an API key", detail)
}

/// The value of `Authorization: Bearer`.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

/// The person of an account that can still sign in, with groups.
pub(crate) async fn person_of(state: &WebState, user: &holdfast_domain::UserId) -> Result<Option<Person>, ApiError> {
    let (user, members) = tokio::join!(state.metadb().user(user), state.metadb().memberships(user));
    let Some(user) = user.map_err(fault)?.filter(|user| user.disabled.is_none()) else { return Ok(None) };
    Ok(Some(Person { user, members: members.map_err(fault)? }))
}

/// Reads the key or the cookie. A request with a key is not asked for a cookie.
async fn identify(state: &WebState, headers: &HeaderMap, address: IpAddr) -> Result<Option<Caller>, ApiError> {
    if headers.contains_key(header::AUTHORIZATION) {
        let secret = bearer(headers).ok_or_else(|| {
            unauthorized("the header Authorization must carry an API key: `Authorization: Bearer <key>`")
        })?;
        let key = state.metadb().verify_api_key(secret).await.map_err(fault)?;
        let key = key.ok_or_else(|| unauthorized("the API key is not valid: it is unknown, revoked or expired"))?;
        let listed = |net: &String| net.parse::<ipnet::IpNet>().is_ok_and(|net| net.contains(&address));
        if !key.addresses.is_empty() && !key.addresses.iter().any(listed) {
            return Err(unauthorized("the API key is not valid from this address"));
        }
        let owner = match &key.user {
            Some(user) => {
                let person = person_of(state, user).await?;
                Some(person.ok_or_else(|| unauthorized("the API key is not valid: its person's account is shut"))?)
            }
            None => None,
        };
        return Ok(Some(Caller(Arc::new(Inner { who: Who::Key { key, owner }, address }))));
    }
    let Some(secret) = cookie::read(headers, state.secure()) else { return Ok(None) };
    let Some(session) = state.metadb().verify_session(&secret).await.map_err(fault)? else { return Ok(None) };
    let Some(person) = person_of(state, &session.user).await? else { return Ok(None) };
    Ok(Some(Caller(Arc::new(Inner { who: Who::Session { session, person }, address }))))
}

/// The layer over the whole API: row, origin, identity, permission, in this order. Leaves the caller and the group with the request.
pub(crate) async fn admit(State(state): State<WebState>, request: Request, next: Next) -> Result<Response, ApiError> {
    let (mut parts, body) = request.into_parts();
    let matched = parts.extensions.get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let path = matched.as_deref().and_then(|path| path.strip_prefix(crate::API)).unwrap_or_default();
    let row = match rows::find(&parts.method, path) {
        Ok(row) => row,
        Err(true) => return Err(crate::wrong_method().await),
        Err(false) => return Err(crate::unknown().await),
    };
    let address = peer(&parts.extensions, &parts.headers, state.trusted_proxies());
    parts.extensions.insert(Peer(address));
    let keyed = parts.headers.contains_key(header::AUTHORIZATION);
    if !keyed && is_unsafe(&parts.method) {
        let from = origin(&parts.headers, &[state.web_url(), &state.public_url()]);
        let rides = cookie::read(&parts.headers, state.secure()).is_some();
        if from == Origin::Elsewhere || (from == Origin::Silent && rides) {
            let detail = "this request comes from another site, or does not say where it comes from: use the app itself, or an API key";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "crossSite", "The request comes from elsewhere", detail));
        }
    }
    let caller = match (row.need, identify(&state, &parts.headers, address).await) {
        // A stale cookie must not keep anyone from signing in.
        (Need::Public, Err(_)) => Ok(None),
        (_, found) => found,
    };
    match &caller {
        Ok(Some(caller)) => state.rates().count(caller.fingerprint(), rates::CALLER)?,
        Ok(None) | Err(_) => state.rates().count(&address.to_string(), rates::ADDRESS)?,
    }
    let caller = caller?;
    if let Some(caller) = &caller {
        parts.extensions.insert(caller.clone());
    }
    permit(&state, row, caller.clone(), &mut parts).await?;
    idempotency::once(&state, caller, Request::from_parts(parts, body), next).await
}

async fn permit(state: &WebState, row: &Row, caller: Option<Caller>, parts: &mut Parts) -> Result<(), ApiError> {
    if row.need == Need::Public {
        return Ok(());
    }
    let caller = caller.ok_or_else(|| {
        unauthorized("sign in, or send an API key in the header Authorization: `Authorization: Bearer <key>`")
    })?;
    match row.need {
        Need::Public | Need::SignedIn => {}
        Need::Person | Need::Enrolled => {
            if caller.person().is_none() {
                return Err(forbidden("this is about a person's own account: it needs a session, not an API key"));
            }
        }
        Need::Global(action, resource) => require(&caller, action, resource, None)?,
        Need::NewGroup => {
            if !may_make_groups(state, &caller).await? {
                require(&caller, Action::Create, Resource::Groups, None)?;
            }
        }
        Need::Group(action, resource) => {
            let text = param(parts, state, "group").await?;
            let group = visible_group(state, &caller, &text).await?;
            require(&caller, action, resource, Some(&group))?;
            parts.extensions.insert(InGroup { group, caller: caller.clone() });
        }
        Need::Restore(action, resource) => {
            let id = param(parts, state, "restore").await?;
            let unknown = || ApiError::not_found(format!("there is no restore {id:?}"));
            let parsed: RestoreJobId = id.parse().map_err(|_| unknown())?;
            let job = state.metadb().restore_job(&parsed).await.map_err(fault)?.ok_or_else(unknown)?;
            if !caller.sees(&job.group) {
                return Err(unknown());
            }
            let group = state.metadb().group(&job.group).await.map_err(fault)?.ok_or_else(unknown)?;
            require(&caller, action, resource, Some(&group))?;
        }
    }
    // What a person needs to set a second factor up, and no more, works without it.
    if row.need != Need::Person {
        enrolled(state, &caller).await?;
    }
    let Some((person, session)) = caller.person().filter(|_| row.again) else { return Ok(()) };
    let policy = state.access_policy().await?;
    if !is_recent(session.verified, policy.verified_minutes) {
        return Err(prove_again(&person.user));
    }
    Ok(())
}

/// True for what was at most so many minutes ago.
pub(crate) fn is_recent(at: bson::DateTime, minutes: u32) -> bool {
    let age_millis = bson::DateTime::now().timestamp_millis().saturating_sub(at.timestamp_millis());
    age_millis <= i64::from(minutes) * 60_000
}

/// What is said to someone whose proof of identity is too old.
pub(crate) fn prove_again(user: &User) -> ApiError {
    let detail = if user.origin == "oidc" && !user.has_totp() {
        "this asks again who you are: sign in again by your provider"
    } else if user.has_totp() {
        "this needs a code of your second factor once more: send it to /sessions/current/verify"
    } else {
        "this needs your password once more: send it to /sessions/current/verify"
    };
    ApiError::new(StatusCode::FORBIDDEN, "reauthenticationRequired", "Prove who you are", detail)
}

/// Whether the access policy lets this person make groups, whatever their roles.
pub(crate) async fn may_make_groups(state: &WebState, caller: &Caller) -> Result<bool, ApiError> {
    let everyone = state.access_policy().await?.group_creation == GroupCreation::Everyone;
    Ok(everyone && caller.person().is_some() || caller.may(Action::Create, Resource::Groups, None))
}

/// Refuses a person without the second factor that the policy asks of them, by session and by their own key.
async fn enrolled(state: &WebState, caller: &Caller) -> Result<(), ApiError> {
    let Some(person) = caller.subject().filter(|person| !person.user.has_totp()) else { return Ok(()) };
    if caller.person().is_some_and(|(_, session)| session.factor_elsewhere) {
        return Ok(());
    }
    if !person.needs_totp(state.access_policy().await?.totp) {
        return Ok(());
    }
    let detail = match caller.person() {
        Some(_) => "this appliance asks for a second factor: set one up in your account first",
        None => {
            "this appliance asks the person of this key for a second factor: the key works again once they set one up"
        }
    };
    Err(ApiError::new(StatusCode::FORBIDDEN, "totpEnrolmentRequired", "A second factor is needed", detail))
}

fn require(caller: &Caller, action: Action, resource: Resource, group: Option<&Group>) -> Result<(), ApiError> {
    if caller.may(action, resource, group.map(|group| &group.id)) {
        return Ok(());
    }
    let allowed = holdfast_domain::ACCESS_TABLE.iter().find(|(of, what, _)| (*of, *what) == (resource, action));
    let roles: Vec<&str> = allowed.map_or(&[][..], |(_, _, roles)| *roles).iter().map(|role| role.as_str()).collect();
    let place = group.map_or_else(|| "over the whole appliance".to_owned(), |group| format!("in group {}", group.name));
    Err(forbidden(format!("this needs one of these roles {place}: {}", roles.join(", "))))
}

/// A group by its id or name, when the caller may know of it.
pub(crate) async fn visible_group(state: &WebState, caller: &Caller, text: &str) -> Result<Group, ApiError> {
    let group = find_group(state, text).await?.filter(|group| caller.sees(&group.id));
    group.ok_or_else(|| ApiError::not_found(format!("there is no group {text:?}")))
}

/// A group by its id or name.
pub(crate) async fn find_group(state: &WebState, text: &str) -> Result<Option<Group>, ApiError> {
    if let Ok(id) = text.parse::<GroupId>()
        && let Some(group) = state.metadb().group(&id).await.map_err(fault)?
    {
        return Ok(Some(group));
    }
    state.metadb().group_by_name(text).await.map_err(fault)
}

async fn param(parts: &mut Parts, state: &WebState, name: &str) -> Result<String, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let value = params.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
    value.ok_or_else(|| ApiError::not_found(format!("the path names no {name}")))
}

/// True while the same credentials may still do this in the group, or over the appliance: for answers that go on long after they were admitted. A database that is
/// away for a moment takes nobody's rights.
pub(crate) async fn still_may(
    state: &WebState,
    headers: &HeaderMap,
    caller: &Caller,
    action: Action,
    resource: Resource,
    group: Option<&GroupId>,
) -> bool {
    match identify(state, headers, caller.address()).await {
        Ok(Some(now)) => {
            let factor = enrolled(state, &now).await;
            now.may(action, resource, group) && factor.err().is_none_or(|error| error.status().is_server_error())
        }
        Ok(None) => false,
        Err(error) => error.status().is_server_error(),
    }
}

/// Where a request comes from, for handlers before anyone is signed in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        parts.extensions.get::<Self>().copied().ok_or_else(|| unauthorized("the request was not admitted"))
    }
}

impl FromRequestParts<WebState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &WebState) -> Result<Self, ApiError> {
        // Without the layer there is no caller: fail closed.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthorized("nobody was identified"))
    }
}

/// A caller, where there need not be one.
#[derive(Clone, Debug)]
pub(crate) struct MaybeCaller(pub(crate) Option<Caller>);

impl FromRequestParts<WebState> for MaybeCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &WebState) -> Result<Self, ApiError> {
        Ok(Self(parts.extensions.get::<Caller>().cloned()))
    }
}

/// A person at their own account.
#[derive(Clone, Debug)]
pub(crate) struct Own {
    /// The person.
    pub(crate) person: Person,
    /// Their session.
    pub(crate) session: Session,
    /// The same, as a caller.
    pub(crate) caller: Caller,
}

impl FromRequestParts<WebState> for Own {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let (person, session) = match caller.person() {
            Some((person, session)) => (person.clone(), session.clone()),
            None => return Err(forbidden("this needs a session")),
        };
        Ok(Self { person, session, caller })
    }
}

/// The group that the path names by id or by name, in which the caller has a role that the route asks for.
#[derive(Clone, Debug)]
pub(crate) struct InGroup {
    /// The group.
    pub(crate) group: Group,
    /// Who asks.
    pub(crate) caller: Caller,
}

impl FromRequestParts<WebState> for InGroup {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &WebState) -> Result<Self, ApiError> {
        // Left there by the layer, after it asked the table; without it: fail closed.
        parts.extensions.get::<Self>().cloned().ok_or_else(|| unauthorized("no group was looked up"))
    }
}

/// The backup job of the replica set that the path names, in the group that it names.
#[derive(Clone, Debug)]
pub(crate) struct OfBackup {
    /// Its group.
    pub(crate) group: Group,
    /// The job.
    pub(crate) job: BackupJob,
    /// Who asks.
    pub(crate) caller: Caller,
}

impl FromRequestParts<WebState> for OfBackup {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let InGroup { group, caller } = InGroup::from_request_parts(parts, state).await?;
        let rs = param(parts, state, "rs").await?;
        let job = state.metadb().backup_job_by_rs(&group.id, &rs).await.map_err(fault)?;
        let job = job.ok_or_else(|| {
            let detail = format!(
                "{}/{rs} is not backed up: start it with `holdfast backups start {}/{rs}`",
                group.name, group.name
            );
            ApiError::not_found(detail)
        })?;
        Ok(Self { group, job, caller })
    }
}
