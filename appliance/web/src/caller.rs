//! Who asks, and what they may do: an API key, its role, its group; and the group or backup job that a path names.
//!
//! Every path of the API but the description of the API itself goes through [`require_key`]; there is no other way in. What a key may not
//! see is answered as what does not exist.

use axum::{
    extract::{FromRequestParts, RawPathParams, Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use holdfast_domain::{Classify, GroupId};
use holdfast_metadb::{ApiKey, BackupJob, Group, Role};

use crate::{problem::ApiError, state::WebState};

/// Answers an error of a database.
pub(crate) fn fault<E: Classify + std::error::Error + 'static>(error: E) -> ApiError {
    ApiError::from_class(error.class(), &error)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim()).filter(|key| !key.is_empty())
}

/// Layer over the whole API: refuses without a valid key, leaves the key's facts with the request.
pub(crate) async fn require_key(
    State(state): State<WebState>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let refuse = |detail: &str| ApiError::new(StatusCode::UNAUTHORIZED, "apiKey", "An API key is needed", detail);
    let key = bearer(request.headers())
        .ok_or_else(|| refuse("the header Authorization must carry an API key: `Authorization: Bearer <key>`"))?;
    let facts = state.metadb().verify_api_key(key).await.map_err(fault)?;
    let facts = facts.ok_or_else(|| refuse("the API key is not valid: it is unknown, revoked or expired"))?;
    request.extensions_mut().insert(Caller(facts));
    Ok(next.run(request).await)
}

/// The key behind a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller(pub(crate) ApiKey);

impl Caller {
    /// True when the key may know of this group.
    pub(crate) fn sees(&self, group: &GroupId) -> bool {
        self.0.group.as_ref().is_none_or(|own| own == group)
    }

    /// Refuses keys of a single group, and keys that only read.
    pub(crate) fn require_global_admin(&self) -> Result<(), ApiError> {
        self.require_global()?;
        self.require_admin()
    }

    /// Refuses keys of a single group.
    pub(crate) fn require_global(&self) -> Result<(), ApiError> {
        if self.0.group.is_none() { Ok(()) } else { Err(forbidden("this needs a global key")) }
    }

    /// Refuses keys that may not administer.
    pub(crate) fn require_admin(&self) -> Result<(), ApiError> {
        match self.0.role {
            Role::Admin => Ok(()),
            Role::Operator | Role::Viewer => Err(forbidden("this needs a key of the role admin")),
        }
    }

    /// Refuses keys that only read.
    pub(crate) fn require_operator(&self) -> Result<(), ApiError> {
        match self.0.role {
            Role::Admin | Role::Operator => Ok(()),
            Role::Viewer => Err(forbidden("this key may only read")),
        }
    }

    /// Who it is, for the audit trail.
    pub(crate) fn name(&self) -> &str {
        &self.0.label
    }
}

fn forbidden(detail: &str) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", "The key may not do this", detail)
}

impl FromRequestParts<WebState> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &WebState) -> Result<Self, ApiError> {
        // Without the layer there is no key: fail closed.
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "apiKey", "An API key is needed", "no API key was checked")
        })
    }
}

async fn param(parts: &mut Parts, state: &WebState, name: &str) -> Result<String, ApiError> {
    let params = RawPathParams::from_request_parts(parts, state).await;
    let params = params.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let value = params.iter().find(|(n, _)| *n == name).map(|(_, value)| value.to_owned());
    value.ok_or_else(|| ApiError::not_found(format!("the path names no {name}")))
}

/// The group that the path names by id or by name, visible to the caller.
#[derive(Clone, Debug)]
pub(crate) struct InGroup {
    /// The group.
    pub(crate) group: Group,
    /// Who asks.
    pub(crate) caller: Caller,
}

impl FromRequestParts<WebState> for InGroup {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let text = param(parts, state, "group").await?;
        let group = match text.parse::<GroupId>() {
            Ok(id) => state.metadb().group(&id).await.map_err(fault)?,
            Err(_) => None,
        };
        let group = match group {
            Some(group) => Some(group),
            None => state.metadb().group_by_name(&text).await.map_err(fault)?,
        };
        let group = group.filter(|group| caller.sees(&group.id));
        let group = group.ok_or_else(|| ApiError::not_found(format!("there is no group {text:?}")))?;
        Ok(Self { group, caller })
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
