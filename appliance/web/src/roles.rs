//! Roles as the API spells them, and views of persons.

use holdfast_domain::Role;
use holdfast_metadb::User;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::ApiError;

/// What someone may do. `admin`, `operator` and `viewer` are still read, as owner, backup admin and read only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum RoleName {
    /// Everything.
    #[serde(alias = "admin")]
    Owner,
    /// Backs up and restores.
    #[serde(alias = "operator")]
    BackupAdmin,
    /// Enrols agents, adds deployments.
    MonitoringAdmin,
    /// Invites, approves, gives roles (but owner), makes keys.
    UserAdmin,
    /// Looks.
    #[serde(alias = "viewer")]
    ReadOnly,
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::BackupAdmin => Self::BackupAdmin,
            RoleName::MonitoringAdmin => Self::MonitoringAdmin,
            RoleName::UserAdmin => Self::UserAdmin,
            RoleName::ReadOnly => Self::ReadOnly,
        }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::BackupAdmin => Self::BackupAdmin,
            Role::MonitoringAdmin => Self::MonitoringAdmin,
            Role::UserAdmin => Self::UserAdmin,
            Role::ReadOnly => Self::ReadOnly,
        }
    }
}

/// Roles of a request: at least one, each once.
pub(crate) fn some_roles(names: &[RoleName]) -> Result<Vec<Role>, ApiError> {
    if names.is_empty() {
        return Err(ApiError::bad_request("at least one role is needed"));
    }
    Ok(roles(names))
}

/// Roles of a request, each once.
pub(crate) fn roles(names: &[RoleName]) -> Vec<Role> {
    let mut roles: Vec<Role> = names.iter().copied().map(Into::into).collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}

/// Roles as they are shown.
pub(crate) fn names(roles: &[Role]) -> Vec<RoleName> {
    roles.iter().copied().map(Into::into).collect()
}

/// A person, as others see them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct PersonView {
    /// Id.
    pub(crate) id: String,
    /// E-mail address.
    pub(crate) email: String,
    /// Name.
    pub(crate) name: String,
}

impl From<&User> for PersonView {
    fn from(user: &User) -> Self {
        Self { id: user.id.to_string(), email: user.email.clone(), name: user.name.clone() }
    }
}
