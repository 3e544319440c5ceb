//! API keys of a group, of the appliance, of a person: made, listed, revoked. A key is shown once.
//!
//! A person's keys end with the person. Those of a group and of the appliance are for programs and outlive their maker, or a backup would
//! stop when someone leaves; lists say whose maker has left, so that they are revoked on purpose.

use std::{net::IpAddr, time::Duration};

use axum::{Json, extract::State, http::StatusCode};
use bson::doc;
use holdfast_domain::{GroupId, UserId};
use holdfast_metadb::{ApiKey, NewApiKey};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{Caller, InGroup, Own, fault, find_group, forbidden},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    pages::{Order, Page, PageQuery},
    problem::{ApiError, Problem},
    roles::RoleName,
    state::WebState,
};

/// Longest label, in characters.
const LABEL_CHARS_MAX: usize = 100;
/// Address ranges of one key.
const ADDRESSES_MAX: usize = 50;
/// Keys of one person that work.
const OWN_KEYS_MAX: usize = 50;
/// Life of a person's key when nothing is said, in days.
const OWN_DAYS: u32 = 365;
/// Longest life of a key, in days.
const DAYS_MAX: u32 = 3650;

/// A new key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewKey {
    /// What it is for; stands in the audit trail.
    label: String,
    /// What it may do.
    role: RoleName,
    /// How many days it works; for ever when nothing is said.
    days: Option<u32>,
    /// Addresses that it works from, such as `10.0.0.0/8` or `192.0.2.7/32`; from everywhere when nothing is said.
    #[serde(default)]
    addresses: Vec<String>,
}

/// A new key of a person. It may do what its role allows, and never more than the person.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewOwnKey {
    /// What it is for; stands in the audit trail.
    label: String,
    /// What it may do.
    role: RoleName,
    /// Id or name of the one group that it sees; all of the person's when nothing is said.
    group: Option<String>,
    /// How many days it works, 1 to 3650; 365 when nothing is said.
    days: Option<u32>,
    /// Addresses that it works from; from everywhere when nothing is said.
    #[serde(default)]
    addresses: Vec<String>,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyView {
    /// Id.
    id: String,
    /// The key itself: only in the answer that made it.
    key: Option<String>,
    /// What it is for.
    label: String,
    /// What it may do.
    role: RoleName,
    /// Id of the one group that it sees; null: all.
    group: Option<String>,
    /// Addresses that it works from; empty: all.
    addresses: Vec<String>,
    /// When it was made, RFC 3339.
    created: String,
    /// Until when it works, RFC 3339.
    expires: Option<String>,
    /// It no longer works.
    revoked: bool,
    /// E-mail address of who made it; null: the server itself, or it is no longer known.
    made_by: Option<String>,
    /// Who made it is no longer there: not in the group, without a global role for a key of the appliance, or the account is shut. The key
    /// goes on working, and whoever wrote it down can use it: revoke it when it is not needed.
    maker_left: bool,
}

impl KeyView {
    /// Its place in lists: by age.
    fn place(&self) -> String {
        format!("{}/{}", self.created, self.id)
    }
}

fn view(facts: ApiKey, key: Option<String>, maker: Option<&Maker>) -> KeyView {
    KeyView {
        made_by: maker.and_then(|maker| maker.email.clone()),
        maker_left: maker.is_some_and(|maker| maker.left),
        id: facts.hash,
        key,
        label: facts.label,
        role: facts.role.into(),
        group: facts.group.map(|id| id.to_string()),
        addresses: facts.addresses,
        created: rfc3339_of(facts.created),
        expires: facts.expires.map(rfc3339_of),
        revoked: facts.revoked.is_some(),
    }
}

/// Who made a key.
struct Maker {
    /// None: the account is gone.
    email: Option<String>,
    left: bool,
}

/// Keys of a group, or of the appliance, with who made them.
async fn views(state: &WebState, group: Option<&GroupId>) -> Result<Vec<KeyView>, ApiError> {
    let keys = state.metadb().api_keys(group).await.map_err(fault)?;
    let mut ids: Vec<UserId> = keys.iter().filter_map(|key| key.maker.clone()).collect();
    ids.sort_unstable();
    ids.dedup();
    let users = state.metadb().users_by_ids(&ids).await.map_err(fault)?;
    let members = match group {
        Some(group) => state.metadb().members(group).await.map_err(fault)?,
        None => Vec::new(),
    };
    let maker = |id: &UserId| {
        let user = users.iter().find(|user| user.id == *id);
        let member = members.iter().any(|member| member.user == *id);
        let there = user.is_some_and(|user| user.disabled.is_none() && (member || !user.global_roles.is_empty()));
        Maker { email: user.map(|user| user.email.clone()), left: !there }
    };
    let one = |key: ApiKey| {
        let maker = key.maker.as_ref().map(maker);
        view(key, None, maker.as_ref())
    };
    Ok(keys.into_iter().map(one).collect())
}

/// Makes a key that sees this group alone.
#[utoipa::path(post, path = "/groups/{group}/apiKeys", tag = "apiKeys", request_body = NewKey, params(("group" = String, Path, description = "id or name")),
    responses((status = 201, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_group_key(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(new): JsonOf<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    create(&state, &of.caller, Some(of.group.id), new).await
}

/// Makes a key that sees every group.
#[utoipa::path(post, path = "/apiKeys", tag = "apiKeys", request_body = NewKey,
    responses((status = 201, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_global_key(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewKey>,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    create(&state, &caller, None, new).await
}

async fn create(
    state: &WebState,
    caller: &Caller,
    group: Option<GroupId>,
    new: NewKey,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    // A key is used by whoever made it: it must not be a way to a role that they do not have.
    if !caller.holds(new.role.into(), group.as_ref()) {
        return Err(forbidden("a key may do no more than who makes it: choose a role that you have"));
    }
    let request = NewApiKey {
        addresses: nets(&new.addresses)?,
        lifetime: lifetime(new.days)?,
        maker: caller.behind().cloned(),
        ..NewApiKey::new(group, new.role.into(), label(&new.label)?)
    };
    make(state, caller, request).await
}

async fn make(state: &WebState, caller: &Caller, request: NewApiKey) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    let group = request.group.clone();
    let (facts, key) = state.metadb().create_api_key(request).await.map_err(fault)?;
    let after = doc! { "role": facts.role.as_str(), "addresses": facts.addresses.clone(), "expires": facts.expires };
    state.audit_change(caller, group.as_ref(), "API key created", &facts.label, None, Some(after)).await;
    Ok((StatusCode::CREATED, Json(view(facts, Some(key), None))))
}

fn label(text: &str) -> Result<&str, ApiError> {
    if text.is_empty() || text.chars().count() > LABEL_CHARS_MAX {
        return Err(ApiError::bad_request(format!("a label has 1 to {LABEL_CHARS_MAX} characters")));
    }
    Ok(text)
}

fn lifetime(days: Option<u32>) -> Result<Option<Duration>, ApiError> {
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        return Err(ApiError::bad_request(format!("days are 1 to {DAYS_MAX}")));
    }
    Ok(days.map(|days| Duration::from_secs(u64::from(days) * 86_400)))
}

/// Address ranges in their normal form; a bare address stands for itself.
fn nets(texts: &[String]) -> Result<Vec<String>, ApiError> {
    if texts.len() > ADDRESSES_MAX {
        return Err(ApiError::bad_request(format!("at most {ADDRESSES_MAX} addresses are allowed")));
    }
    let one = |text: &String| {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let bad = |_| ApiError::bad_request(format!("{text:?} is not an address or a range such as 10.0.0.0/8"));
        net.map(|net| net.trunc().to_string()).map_err(bad)
    };
    texts.iter().map(one).collect()
}

/// Makes a key of the person's own.
#[utoipa::path(post, path = "/account/apiKeys", tag = "account", request_body = NewOwnKey,
    responses((status = 201, body = KeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_own_key(
    State(state): State<WebState>,
    own: Own,
    JsonOf(new): JsonOf<NewOwnKey>,
) -> Result<(StatusCode, Json<KeyView>), ApiError> {
    let group = match &new.group {
        Some(text) => {
            let found = find_group(&state, text).await?.filter(|group| own.caller.sees(&group.id));
            Some(found.ok_or_else(|| ApiError::not_found(format!("there is no group {text:?}")))?.id)
        }
        None => None,
    };
    let keys = state.metadb().api_keys_of(&own.person.user.id).await.map_err(fault)?;
    if keys.iter().filter(|key| key.revoked.is_none()).count() >= OWN_KEYS_MAX {
        return Err(ApiError::conflict("tooManyKeys", format!("you have {OWN_KEYS_MAX} keys already: revoke one")));
    }
    let request = NewApiKey {
        user: Some(own.person.user.id.clone()),
        maker: Some(own.person.user.id.clone()),
        addresses: nets(&new.addresses)?,
        lifetime: lifetime(new.days.or(Some(OWN_DAYS)))?,
        ..NewApiKey::new(group, new.role.into(), format!("{}: {}", own.person.user.email, label(&new.label)?))
    };
    make(&state, &own.caller, request).await
}

/// The person's keys.
#[utoipa::path(get, path = "/account/apiKeys", tag = "account",
    responses((status = 200, body = [KeyView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_own_keys(State(state): State<WebState>, own: Own) -> Result<Json<Vec<KeyView>>, ApiError> {
    let all = state.metadb().api_keys_of(&own.person.user.id).await.map_err(fault)?;
    Ok(Json(all.into_iter().map(|key| view(key, None, None)).collect()))
}

/// Revokes one of the person's keys at once.
#[utoipa::path(delete, path = "/account/apiKeys/{key}", tag = "account", params(("key" = String, Path, description = "id of the key")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_own_key(
    State(state): State<WebState>,
    own: Own,
    PathOf(id): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    let all = state.metadb().api_keys_of(&own.person.user.id).await.map_err(fault)?;
    let key = all.iter().find(|key| key.hash == id);
    let key = key.ok_or_else(|| ApiError::not_found(format!("you have no API key {id:?}")))?;
    state.metadb().revoke_api_key(&id).await.map_err(fault)?;
    state.audit(&own.caller, key.group.as_ref(), "API key revoked", &key.label).await;
    Ok(StatusCode::NO_CONTENT)
}

/// The group's keys.
#[utoipa::path(get, path = "/groups/{group}/apiKeys", tag = "apiKeys", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [KeyView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_group_keys(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<KeyView>, ApiError> {
    let all = views(&state, Some(&of.group.id)).await?;
    query.cut(all, Order::Up, KeyView::place)
}

/// Revokes a key of the group at once.
#[utoipa::path(delete, path = "/groups/{group}/apiKeys/{key}", tag = "apiKeys",
    params(("group" = String, Path, description = "id or name"), ("key" = String, Path, description = "id of the key")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_group_key(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    revoke(&state, &of.caller, Some(&of.group.id), &id).await
}

/// The keys that see every group. Not those of persons.
#[utoipa::path(get, path = "/apiKeys", tag = "apiKeys", params(PageQuery),
    responses((status = 200, body = [KeyView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_global_keys(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<KeyView>, ApiError> {
    query.cut(views(&state, None).await?, Order::Up, KeyView::place)
}

/// Revokes a key that sees every group, at once.
#[utoipa::path(delete, path = "/apiKeys/{key}", tag = "apiKeys", params(("key" = String, Path, description = "id of the key")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_global_key(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<String>,
) -> Result<StatusCode, ApiError> {
    revoke(&state, &caller, None, &id).await
}

async fn revoke(state: &WebState, caller: &Caller, group: Option<&GroupId>, id: &str) -> Result<StatusCode, ApiError> {
    let all = state.metadb().api_keys(group).await.map_err(fault)?;
    let place = if group.is_some() { "the group" } else { "the appliance" };
    let key = all.iter().find(|key| key.hash == id);
    let key = key.ok_or_else(|| ApiError::not_found(format!("{place} has no API key {id:?}: list them first")))?;
    state.metadb().revoke_api_key(id).await.map_err(fault)?;
    let before = doc! { "role": key.role.as_str(), "addresses": key.addresses.clone(), "expires": key.expires };
    state.audit_change(caller, group, "API key revoked", &key.label, Some(before), None).await;
    Ok(StatusCode::NO_CONTENT)
}
