//! Accounts of the appliance, for its user admins.

use axum::{Json, extract::State, http::StatusCode};
use bson::{Document, doc};
use holdfast_domain::{Role, UserId};
use holdfast_metadb::{MetaError, OneTimeKind, Seen, User};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    caller::{Caller, fault, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    mail::{self, Message},
    members::{check_grant, not_self},
    password_resets,
    problem::{ApiError, Problem},
    revision::{IfMatch, Tagged},
    roles::{RoleName, names, roles},
    state::WebState,
};

/// Accounts of one page.
const PAGE_MAX: i64 = 200;

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    /// Id.
    id: String,
    /// E-mail address.
    email: String,
    /// Name.
    name: String,
    /// Roles in every group and over the appliance.
    global_roles: Vec<RoleName>,
    /// It is shut: it cannot sign in.
    disabled: bool,
    /// There is a second factor.
    totp: bool,
    /// Where the person signs in: `local`, `oidc` or `ldap`.
    origin: String,
    /// When it was made, RFC 3339.
    created: String,
    /// Counts the changes of name, address, roles and standing: the account's tag, for `If-Match`.
    revision: i64,
}

impl From<&User> for UserView {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.clone(),
            name: user.name.clone(),
            global_roles: names(&user.global_roles),
            disabled: user.disabled.is_some(),
            totp: user.has_totp(),
            origin: user.origin.clone(),
            created: rfc3339_of(user.created),
            revision: user.rev,
        }
    }
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserPage {
    /// By address.
    users: Vec<UserView>,
    /// Give it as `cursor` for the next page; null: this is the last.
    next: Option<String>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UserQuery {
    /// As the page before said.
    cursor: Option<String>,
    /// Accounts of the page, 1 to 200.
    limit: Option<i64>,
}

/// An account to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewUser {
    /// E-mail address.
    email: String,
    /// Name.
    name: String,
    /// Roles in every group and over the appliance.
    #[serde(default)]
    global_roles: Vec<RoleName>,
}

/// A new account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserMade {
    /// The account.
    user: UserView,
    /// The link by which the person sets a password; shown once, and only when no mail server is set.
    link: Option<String>,
    /// It was sent by mail, to the person alone; false: no mail server is set, hand the link over yourself.
    mailed: bool,
}

/// What shall change; what is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct ChangeUser {
    /// Name.
    name: Option<String>,
    /// All global roles that the person shall have.
    global_roles: Option<Vec<RoleName>>,
    /// Shut the account, or open it again.
    disabled: Option<bool>,
    /// Remove the second factor: the person has lost it.
    #[serde(default)]
    reset_totp: bool,
}

fn facts(user: &User) -> Document {
    let roles: Vec<&str> = user.global_roles.iter().map(|role| role.as_str()).collect();
    doc! { "name": &user.name, "globalRoles": roles, "disabled": user.disabled.is_some(), "totp": user.has_totp() }
}

/// Accounts, by address.
#[utoipa::path(get, path = "/users", tag = "people", params(UserQuery),
    responses((status = 200, body = UserPage), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_users(
    State(state): State<WebState>,
    QueryOf(query): QueryOf<UserQuery>,
) -> Result<Json<UserPage>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let mut users = state.metadb().users(query.cursor.as_deref(), limit + 1).await.map_err(fault)?;
    let more = users.len() > usize::try_from(limit).unwrap_or(usize::MAX);
    if more {
        users.pop();
    }
    let next = users.last().filter(|_| more).map(|user| user.email.clone());
    Ok(Json(UserPage { users: users.iter().map(Into::into).collect(), next }))
}

/// Makes an account. The person sets the password by the link.
#[utoipa::path(post, path = "/users", tag = "people", request_body = NewUser,
    responses((status = 201, body = UserMade), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_user(
    State(state): State<WebState>,
    caller: Caller,
    JsonOf(new): JsonOf<NewUser>,
) -> Result<(StatusCode, Json<UserMade>), ApiError> {
    let roles = roles(&new.global_roles);
    check_grant(&caller, None, &[], &roles)?;
    let user = User::new(&new.email, &new.name, None, roles);
    user.check().map_err(meta_fault)?;
    if state.metadb().user_by_email(&user.email).await.map_err(fault)?.is_some() {
        return Err(meta_fault(MetaError::Exists { what: "account", id: user.email }));
    }
    // The mail first: an account whose person cannot get in is made by nobody.
    let link = password_resets::link(&state, &user.id).await?;
    let made = async {
        let mailed = mail::deliver(&state, Message::account(&user.email, &link)).await?;
        state.metadb().create_user(&user).await.map_err(meta_fault)?;
        Ok::<_, ApiError>(mailed)
    };
    let mailed = match made.await {
        Ok(mailed) => mailed,
        Err(error) => {
            state.metadb().void_one_time(OneTimeKind::PasswordReset, &user.id).await.map_err(fault)?;
            return Err(error);
        }
    };
    let link = Some(link).filter(|_| !mailed);
    state.audit_change(&caller, None, "account made", &user.email, None, Some(facts(&user))).await;
    Ok((StatusCode::CREATED, Json(UserMade { user: (&user).into(), link, mailed })))
}

async fn read(state: &WebState, id: &UserId) -> Result<User, ApiError> {
    let found = state.metadb().user(id).await.map_err(fault)?;
    found.ok_or_else(|| ApiError::not_found(format!("there is no account {id}")))
}

/// An account.
#[utoipa::path(get, path = "/users/{user}", tag = "people", params(("user" = String, Path, description = "id")),
    responses((status = 200, body = UserView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_user(
    State(state): State<WebState>,
    PathOf(id): PathOf<UserId>,
) -> Result<Tagged<UserView>, ApiError> {
    let user = read(&state, &id).await?;
    Ok(Tagged(user.rev, (&user).into()))
}

/// Changes an account: name, global roles, shut or open, second factor removed. Nobody changes their own.
#[utoipa::path(put, path = "/users/{user}", tag = "people", request_body = ChangeUser, params(("user" = String, Path, description = "id")),
    responses((status = 200, body = UserView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn change_user(
    State(state): State<WebState>,
    caller: Caller,
    PathOf(id): PathOf<UserId>,
    IfMatch(mut seen): IfMatch,
    JsonOf(change): JsonOf<ChangeUser>,
) -> Result<Tagged<UserView>, ApiError> {
    not_self(&caller, &id)?;
    let old = read(&state, &id).await?;
    if !seen.allows(old.rev) {
        return Err(ApiError::changed());
    }
    // Whoever may not make such an account may not touch it either: shutting an owner out is an owner's business.
    check_grant(&caller, None, &[], &old.global_roles)?;
    let owns = state.metadb().memberships(&id).await.map_err(fault)?.iter().any(|m| m.roles.contains(&Role::Owner));
    if owns {
        check_grant(&caller, None, &[], &[Role::Owner])?;
    }
    let after = change.global_roles.as_deref().map_or_else(|| old.global_roles.clone(), roles);
    check_grant(&caller, None, &old.global_roles, &after)?;
    let disabled = change.disabled.unwrap_or(old.disabled.is_some());
    if after != old.global_roles || disabled != old.disabled.is_some() {
        state.metadb().put_standing_seen(&id, &after, disabled, &seen).await.map_err(meta_fault)?;
        if seen != Seen::ANY {
            seen = Seen::at(vec![old.rev + 1]);
        }
    }
    if let Some(name) = change.name.as_deref().map(str::trim).filter(|name| *name != old.name) {
        let named = User { name: name.to_owned(), ..old.clone() };
        state.metadb().put_profile_seen(&named, &seen).await.map_err(meta_fault)?;
    }
    if change.reset_totp {
        state.metadb().put_totp(&id, None, &[]).await.map_err(meta_fault)?;
    }
    if disabled || change.reset_totp {
        state.metadb().end_sessions(&id, None).await.map_err(fault)?;
    }
    let new = read(&state, &id).await?;
    let (before, now) = (Some(facts(&old)), Some(facts(&new)));
    state.audit_change(&caller, None, "account changed", &new.email, before, now).await;
    Ok(Tagged(new.rev, (&new).into()))
}
