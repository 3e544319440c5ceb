//! SFTP targets of a group: looked at, added with the host key that someone confirmed, tried, removed; and the group's public key.
//!
//! A target is added in two steps: `look` connects once, without logging in, and shows the key that the server has; the operator compares its
//! fingerprint and sends the key back with the target. From then on nothing is sent to a server that shows another. Whoever may restore in
//! a group may do all of this: a push gives away what a download would. The daemon pushes.

use axum::{Json, extract::State, http::StatusCode};
use holdfast_domain::{Classify as _, ErrorClass, GroupId};
use holdfast_metadb::{SftpTarget, StoredSftpKey, sftp_key_context};
use holdfast_sftp::{HostKey, KeyPair, Server, Session, SftpError};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    caller::{InGroup, fault, meta_fault},
    extract::{JsonOf, PathOf, QueryOf},
    instant::rfc3339_of,
    limits,
    pages::{Order, Page, PageQuery},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Where SSH listens.
const SSH_PORT: u16 = 22;

/// Longest name of a host, in bytes (DNS: 253).
const HOST_BYTES_MAX: usize = 253;

/// The public key with which the appliance logs in for a group.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SftpKeyView {
    /// The line for the user's `authorized_keys` at the server.
    public_key: String,
}

/// A server to look at.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct LookAtServer {
    /// Name or address.
    #[serde(default)]
    host: String,
    /// Port; 22 when nothing is said.
    port: Option<u16>,
}

/// What a server shows.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownHostKey {
    /// Its host key, as a line of OpenSSH: send it back with the target once its fingerprint was compared.
    host_key: String,
    /// Fingerprint, as `ssh-keygen -lf` prints it at the server.
    fingerprint: String,
}

/// A target to add.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct NewSftpTarget {
    /// Name, unique in the group: letters, digits, `-`, `_`, `.`.
    #[serde(default)]
    name: String,
    /// Name or address of the server.
    #[serde(default)]
    host: String,
    /// Port; 22 when nothing is said.
    port: Option<u16>,
    /// User there.
    #[serde(default)]
    user: String,
    /// Folder there; the user's home when nothing is said.
    #[serde(default)]
    folder: String,
    /// The host key that was looked at and confirmed.
    #[serde(default)]
    host_key: String,
}

/// A target.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SftpTargetView {
    /// Name.
    name: String,
    /// Name or address of the server.
    host: String,
    /// Port.
    port: u16,
    /// User there.
    user: String,
    /// Folder there.
    folder: String,
    /// Fingerprint of the host key that was confirmed.
    fingerprint: String,
    /// When it was added, RFC 3339.
    created: String,
    /// Who added it.
    created_by: String,
}

/// What a trial found.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SftpTrial {
    /// Bytes free in the folder; null: the server does not say.
    free_bytes: Option<u64>,
}

/// The group's public key; made when it is asked for first.
#[utoipa::path(get, path = "/groups/{group}/sftp/key", tag = "sftp",
    params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = SftpKeyView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn show_sftp_key(State(state): State<WebState>, of: InGroup) -> Result<Json<SftpKeyView>, ApiError> {
    let key = key_of(&state, &of.group.id, &of.group.name).await?;
    Ok(Json(SftpKeyView { public_key: key.public_line }))
}

/// The group's targets, by name.
#[utoipa::path(get, path = "/groups/{group}/sftp/targets", tag = "sftp",
    params(("group" = String, Path, description = "id or name"), PageQuery),
    responses((status = 200, body = [SftpTargetView]), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list_sftp_targets(
    State(state): State<WebState>,
    of: InGroup,
    QueryOf(query): QueryOf<PageQuery>,
) -> Result<Page<SftpTargetView>, ApiError> {
    let targets = state.metadb().sftp_targets(&of.group.id).await.map_err(fault)?;
    Ok(query.cut(targets, Order::Up, |target| target.name.clone())?.map(view))
}

/// Connects to a server once, without logging in, and shows its host key.
#[utoipa::path(post, path = "/groups/{group}/sftp/look", tag = "sftp", request_body = LookAtServer,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = ShownHostKey), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn look_at_sftp_server(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(at): JsonOf<LookAtServer>,
) -> Result<Json<ShownHostKey>, ApiError> {
    if at.host.is_empty() || at.host.len() > HOST_BYTES_MAX || at.host.chars().any(|c| c.is_control() || c == ' ') {
        return Err(ApiError::bad_request("name the host to look at, without spaces"));
    }
    // This server connects to what someone names: bounded, and written down.
    limits::look(&state, of.caller.fingerprint()).await?;
    let named = format!("{}:{}", at.host, at.port.unwrap_or(SSH_PORT));
    state.audit(&of.caller, Some(&of.group.id), "SFTP server looked at", &named).await;
    let server = Server { host: at.host, port: at.port.unwrap_or(SSH_PORT), user: String::new() };
    let key = holdfast_sftp::look(&server).await.map_err(sftp_fault)?;
    Ok(Json(ShownHostKey { host_key: key.line().map_err(sftp_fault)?, fingerprint: key.fingerprint() }))
}

/// Adds a target with the host key that was confirmed.
#[utoipa::path(post, path = "/groups/{group}/sftp/targets", tag = "sftp", request_body = NewSftpTarget,
    params(("group" = String, Path, description = "id or name")),
    responses((status = 201, body = SftpTargetView), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn add_sftp_target(
    State(state): State<WebState>,
    of: InGroup,
    JsonOf(new): JsonOf<NewSftpTarget>,
) -> Result<(StatusCode, Json<SftpTargetView>), ApiError> {
    let host_key = HostKey::parse(&new.host_key).map_err(|_| {
        ApiError::bad_request(
            "a target comes with the host key of its server: look at the server first, and confirm it",
        )
    })?;
    let target = SftpTarget {
        host: new.host,
        port: new.port.unwrap_or(SSH_PORT),
        user: new.user,
        folder: new.folder,
        host_key: host_key.line().map_err(sftp_fault)?,
        created_by: of.caller.name().to_owned(),
        ..SftpTarget::new(of.group.id.clone(), new.name)
    };
    key_of(&state, &of.group.id, &of.group.name).await?;
    state.metadb().add_sftp_target(&target).await.map_err(meta_fault)?;
    state.audit(&of.caller, Some(&of.group.id), "SFTP target added", &target.name).await;
    Ok((StatusCode::CREATED, Json(view(target))))
}

/// Removes a target. Deliveries to it that have not ended fail; what was delivered stays at the server.
#[utoipa::path(delete, path = "/groups/{group}/sftp/targets/{target}", tag = "sftp",
    params(("group" = String, Path, description = "id or name"), ("target" = String, Path, description = "name of the target")),
    responses((status = 204), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn remove_sftp_target(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let PathOf((_, name)) = path;
    if !state.metadb().remove_sftp_target(&of.group.id, &name).await.map_err(fault)? {
        return Err(no_target(&name));
    }
    state.audit(&of.caller, Some(&of.group.id), "SFTP target removed", &name).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Logs in at a target as a delivery would, and looks at its folder. Writes nothing there.
#[utoipa::path(post, path = "/groups/{group}/sftp/targets/{target}/test", tag = "sftp",
    params(("group" = String, Path, description = "id or name"), ("target" = String, Path, description = "name of the target")),
    responses((status = 200, body = SftpTrial), (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn test_sftp_target(
    State(state): State<WebState>,
    of: InGroup,
    path: PathOf<(String, String)>,
) -> Result<Json<SftpTrial>, ApiError> {
    let PathOf((_, name)) = path;
    let target = find(&state, &of.group.id, &name).await?;
    let stored = key_of(&state, &of.group.id, &of.group.name).await?;
    let pair = state.open_text(&sftp_key_context(&of.group.id), &stored.sealed)?;
    let pair = KeyPair::from_private_text(&pair).map_err(sftp_fault)?;
    let folder = target.path_of(".");
    let pinned = HostKey::parse(&target.host_key).map_err(sftp_fault)?;
    let server = Server { host: target.host, port: target.port, user: target.user };
    let session = Session::open(&server, &pinned, &pair).await.map_err(sftp_fault)?;
    if session.size(&folder).await.map_err(sftp_fault)?.is_none() {
        let detail = format!("there is no folder {:?} at {}: make it there first", target.folder, server.host);
        return Err(ApiError::refused("sftpFolder", detail));
    }
    Ok(Json(SftpTrial { free_bytes: session.free_bytes(&folder).await }))
}

/// A target by its name.
pub(crate) async fn find(state: &WebState, group: &GroupId, name: &str) -> Result<SftpTarget, ApiError> {
    state.metadb().sftp_target_named(group, name).await.map_err(fault)?.ok_or_else(|| no_target(name))
}

fn no_target(name: &str) -> ApiError {
    ApiError::not_found(format!("the group has no SFTP target {name:?}: list its targets, or add one"))
}

/// The group's pair, made when there is none. Two requests at once end with the same.
async fn key_of(state: &WebState, group: &GroupId, name: &str) -> Result<StoredSftpKey, ApiError> {
    if let Some(key) = state.metadb().sftp_key(group).await.map_err(fault)? {
        return Ok(key);
    }
    let pair = KeyPair::generate(&format!("holdfast-{name}")).map_err(sftp_fault)?;
    let key = StoredSftpKey {
        group: group.clone(),
        public_line: pair.public_line().map_err(sftp_fault)?,
        sealed: state.seal_text(&sftp_key_context(group), &pair.private_text().map_err(sftp_fault)?)?,
        created: bson::DateTime::now(),
    };
    state.metadb().keep_sftp_key(&key).await.map_err(fault)
}

/// What a server answers is for the operator to read: 422 with its sentence.
fn sftp_fault(error: SftpError) -> ApiError {
    let code = match &error {
        SftpError::Connection { .. } => "sftpConnection",
        SftpError::HostKeyChanged { .. } => "sftpHostKeyChanged",
        SftpError::LoginRefused { .. } => "sftpLoginRefused",
        SftpError::NoSftp { .. } => "sftpSubsystem",
        SftpError::Full { .. } => "sftpFull",
        SftpError::Refused { .. } => "sftpRefused",
        SftpError::BadKey { .. } => "sftpKey",
    };
    match error.class() {
        ErrorClass::Caller => ApiError::from_class(ErrorClass::Bug, &error),
        _ => ApiError::refused(code, error.to_string()),
    }
}

fn view(target: SftpTarget) -> SftpTargetView {
    let fingerprint = HostKey::parse(&target.host_key).map(|key| key.fingerprint()).unwrap_or_default();
    SftpTargetView {
        name: target.name,
        host: target.host,
        port: target.port,
        user: target.user,
        folder: target.folder,
        fingerprint,
        created: rfc3339_of(target.created),
        created_by: target.created_by,
    }
}
