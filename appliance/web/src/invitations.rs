//! Invitations into a group: made, taken back, looked at and accepted by whoever has the secret.
//!
//! The link's secret stands in its fragment: browsers send that to no server, and no log holds it. With a mail server it goes to the invited
//! address alone, so that having it proves the mailbox; without one it is shown to who invites, who hands it over.
//!
//! Invariants: an invitation is accepted by the account whose address it names, or by making that account, and never by who made it: it is no
//! way to a role of one's own.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Response},
};
use holdfast_domain::InvitationId;
use holdfast_metadb::{Acceptance, Invitation, NewInvitation as Inviting, SignUp, User};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, MaybeCaller, Peer, fault, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    limits,
    mail::{self, Message},
    members::{check_grant, roles_doc},
    pages::{Order, Page, PageQuery, stamp},
    passwords::{allowed, hash_password},
    problem::{ApiError, Problem},
    roles::{RoleName, names, some_roles},
    sign_in,
    state::WebState,
};

/// An invitation to make.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    /// Whom.
    email: String,
    /// Roles that the person will have; at least one.
    roles: Vec<RoleName>,
}

/// An invitation.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationView {
    /// Id.
    id: String,
    /// Whom.
    email: String,
    /// Roles that the person will have.
    roles: Vec<RoleName>,
    /// Who invites.
    invited_by: String,
    /// When it was made, RFC 3339.
    created: String,
    /// Until when it can be used, RFC 3339.
    expires: String,
    /// The link for the person; only in the answer that made it, and only when no mail server is set.
    link: Option<String>,
    /// It was sent by mail, to the invited address alone; false: no mail server is set, hand the link over yourself.
    mailed: bool,
}

fn view(invitation: Invitation, link: Option<String>, mailed: bool) -> InvitationView {
    InvitationView {
        id: invitation.id.to_string(),
        email: invitation.email,
        roles: names(&invitation.roles),
        invited_by: invitation.invited_by,
        created: rfc3339_of(invitation.created),
        expires: rfc3339_of(invitation.expires),
        link,
        mailed,
    }
}

/// The secret of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationSecret {
    /// As in the link.
    token: String,
}

/// What an invitation says to who has it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InvitationFacts {
    /// Whom.
    email: String,
    /// Into which group.
    group: String,
    /// With which roles.
    roles: Vec<RoleName>,
    /// Who invites.
    invited_by: String,
    /// Until when, RFC 3339.
    expires: String,
    /// There is an account of this address: sign in, then accept.
    account_exists: bool,
}

/// Accepting. `name` and `password` are for who has no account yet.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcceptInvitation {
    /// The secret.
    token: String,
    /// Name of the new account.
    name: Option<String>,
    /// Password of the new account.
    password: Option<String>,
}

/// Invites someone into the group.
#[utoipa::path(post, path = "/groups/{group}/invitations", tag = "people", request_body = NewInvitation,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 201, body = InvitationView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn create_invitation(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(new): JsonOf<NewInvitation>,
) -> Result<(StatusCode, Json<InvitationView>), ApiError> {
    let roles = some_roles(&new.roles)?;
    check_grant(&of.caller, Some(&of.group.id), &[], &roles)?;
    User::new(&new.email, "invited", None, Vec::new()).check().map_err(meta_fault)?;
    limits::mail(&state, &new.email, of.caller.address()).await?;
    let inviting =
        Inviting { email: &new.email, roles: &roles, invited_by: of.caller.name(), inviter: of.caller.behind() };
    let (invitation, secret) = state.metadb().create_invitation(&of.group.id, inviting).await.map_err(fault)?;
    let link = format!("{}/invitation#token={secret}", state.public_url());
    let message = Message::invitation(&invitation.email, &of.group.name, of.caller.name(), &link);
    let mailed = match mail::deliver(&state, message).await {
        Ok(mailed) => mailed,
        Err(error) => {
            // Nobody has its secret.
            state.metadb().revoke_invitation(&of.group.id, &invitation.id).await.map_err(fault)?;
            return Err(error);
        }
    };
    let after = Some(roles_doc(&roles));
    state.audit_change(&of.caller, Some(&of.group.id), "invited", &invitation.email, None, after).await;
    Ok((StatusCode::CREATED, Json(view(invitation, Some(link).filter(|_| !mailed), mailed))))
}

/// The group's open invitations, newest first.
#[utoipa::path(get, path = "/groups/{group}/invitations", tag = "people", params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [InvitationView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_invitations(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<InvitationView>, ApiError> {
    let all = state.metadb().invitations(&of.group.id).await.map_err(fault)?;
    let page = query.cut(all, Order::Down, |invitation| format!("{}{}", stamp(invitation.created), invitation.id))?;
    Ok(page.map(|invitation| view(invitation, None, false)))
}

/// Takes an invitation back.
#[utoipa::path(delete, path = "/groups/{group}/invitations/{invitation}", tag = "people",
    params(("group" = String, Path, description = "id or name"), ("invitation" = String, Path, description = "id")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn revoke_invitation(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, InvitationId)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, id)) = path;
    if !state.metadb().revoke_invitation(&of.group.id, &id).await.map_err(fault)? {
        return Err(ApiError::not_found(format!("the group has no invitation {id}")));
    }
    state.audit(&of.caller, Some(&of.group.id), "invitation revoked", id.as_str()).await;
    Ok(StatusCode::NO_CONTENT)
}

fn over() -> ApiError {
    let detail = "the invitation is not valid: it was used, taken back, or its time is over. Ask for a new one";
    ApiError::new(StatusCode::NOT_FOUND, "invitationOver", "The invitation is not valid", detail)
}

/// The invitation that was accepted; else why it was not.
fn accepted(done: Acceptance) -> Result<Invitation, ApiError> {
    let title = "The invitation is not for you";
    let refused = |code, detail| Err(ApiError::new(StatusCode::FORBIDDEN, code, title, detail));
    match done {
        Acceptance::Done(invitation) => Ok(invitation),
        Acceptance::Over => Err(over()),
        Acceptance::OtherAddress(invitation) => {
            let detail =
                format!("it names {}: sign in with the account of that address, then accept", invitation.email);
            refused("otherAddress", detail)
        }
        Acceptance::OwnInvitation => {
            let detail = "nobody accepts an invitation that they made: ask another owner or user admin for one";
            refused("ownInvitation", detail.to_owned())
        }
    }
}

/// What an invitation is for.
#[utoipa::path(post, path = "/invitations/look", tag = "people", request_body = InvitationSecret, security(()), responses(
    (status = 200, body = InvitationFacts), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn look_at_invitation(
    State(state): State<WebState>,
    Peer(address): Peer,
    JsonOf(secret): JsonOf<InvitationSecret>,
) -> Result<Json<InvitationFacts>, ApiError> {
    limits::secret(&state, address).await?;
    let found = state.metadb().invitation(&secret.token).await.map_err(fault)?.ok_or_else(over)?;
    let group = state.metadb().group(&found.group).await.map_err(fault)?.ok_or_else(over)?;
    let account_exists = state.metadb().user_by_email(&found.email).await.map_err(fault)?.is_some();
    Ok(Json(InvitationFacts {
        group: group.name,
        roles: names(&found.roles),
        invited_by: found.invited_by,
        expires: rfc3339_of(found.expires),
        email: found.email,
        account_exists,
    }))
}

/// Accepts an invitation: as the person whom it names, signed in, or by making that account, whose session begins here.
#[utoipa::path(post, path = "/invitations/accept", tag = "people", request_body = AcceptInvitation, security(()), responses(
    (status = 201, body = sign_in::CurrentSession), (status = 204, description = "the person who is signed in has joined"),
    (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn accept_invitation(
    State(state): State<WebState>,
    MaybeCaller(caller): MaybeCaller,
    Peer(address): Peer,
    headers: HeaderMap,
    JsonOf(accept): JsonOf<AcceptInvitation>,
) -> Result<Response, ApiError> {
    limits::secret(&state, address).await?;
    if let Some((caller, user)) = caller.as_ref().and_then(|c| c.person().map(|(person, _)| (c, &person.user))) {
        let done = state.metadb().accept_invitation(&accept.token, user).await.map_err(meta_fault)?;
        let invitation = accepted(done)?;
        state.audit(caller, Some(&invitation.group), "invitation accepted", &user.email).await;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let invitation = state.metadb().invitation(&accept.token).await.map_err(fault)?.ok_or_else(over)?;
    if state.metadb().user_by_email(&invitation.email).await.map_err(fault)?.is_some() {
        let detail = "there is an account of this address: sign in, then accept";
        return Err(ApiError::conflict("accountExists", detail));
    }
    let policy = state.access_policy().await?;
    if policy.sign_up == SignUp::Closed {
        let detail =
            "this appliance makes accounts by its user admins alone: ask them for one, then sign in and accept";
        return Err(ApiError::refused("signUpClosed", detail));
    }
    let (Some(name), Some(password)) = (accept.name, accept.password) else {
        return Err(ApiError::bad_request("a new account needs `name` and `password`"));
    };
    allowed(&password, policy.password_chars_min, &[&invitation.email, &name])?;
    let mut user = User::new(&invitation.email, &name, None, Vec::new());
    user.check().map_err(meta_fault)?;
    user.password = Some(hash_password(&password).await.map_err(crate::hash_fault)?);
    accepted(state.metadb().accept_with_account(&accept.token, &user).await.map_err(meta_fault)?)?;
    sign_in::begin(&state, &user, address, &headers, "invitation accepted").await
}
