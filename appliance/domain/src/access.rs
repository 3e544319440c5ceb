//! Who may do what: the one table of (role, action, resource).
//!
//! Purpose: every decision about permission is [`may`] over [`TABLE`]; web maps each of its routes to one row and asks here, the web app
//! mirrors the same rows. A pair of resource and action that has no row is allowed to nobody.
//!
//! Invariants: roles are independent of each other (none contains another but by what its rows say); a person's or key's rights in a group
//! are the union over the roles held there and the global roles.

use serde::{Deserialize, Serialize};

/// A role, held in one group or in all of them (global).
///
/// `admin`, `operator` and `viewer` are the words of the first release and are still read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Everything.
    #[serde(alias = "admin")]
    Owner,
    /// Backs up and restores.
    #[serde(alias = "operator")]
    BackupAdmin,
    /// Enrols agents, adds deployments, answers alerts.
    MonitoringAdmin,
    /// Invites, approves, gives roles (but owner), makes keys.
    UserAdmin,
    /// Looks.
    #[serde(alias = "viewer")]
    ReadOnly,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [Self::Owner, Self::BackupAdmin, Self::MonitoringAdmin, Self::UserAdmin, Self::ReadOnly];

    /// As it is stored, sent and shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::BackupAdmin => "backupAdmin",
            Self::MonitoringAdmin => "monitoringAdmin",
            Self::UserAdmin => "userAdmin",
            Self::ReadOnly => "readOnly",
        }
    }

    /// True when holders of `self` may hand `other` to someone else: owners everything, user admins all but owner.
    #[must_use]
    pub const fn may_grant(self, other: Self) -> bool {
        match self {
            Self::Owner => true,
            Self::UserAdmin => !matches!(other, Self::Owner),
            Self::BackupAdmin | Self::MonitoringAdmin | Self::ReadOnly => false,
        }
    }
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Looked at.
    Read,
    /// Made.
    Create,
    /// Changed.
    Change,
    /// Taken away.
    Delete,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 4] = [Self::Read, Self::Create, Self::Change, Self::Delete];
}

/// To what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Resource {
    /// Groups themselves.
    Groups,
    /// Who is in a group, with which roles.
    Members,
    /// Invitations into a group.
    Invitations,
    /// Requests to join a group.
    JoinRequests,
    /// API keys.
    ApiKeys,
    /// Agents and their enrolment tokens.
    Agents,
    /// Deployments.
    Deployments,
    /// Backups: started, stopped, set.
    Backups,
    /// Snapshots: taken, pinned, deleted.
    Snapshots,
    /// Restores.
    Restores,
    /// The stream of what changes in a group.
    Events,
    /// The audit log.
    Audit,
    /// Daemons of the appliance.
    Daemons,
    /// The blockstore of the appliance.
    Blockstore,
    /// The key of a group that encrypts.
    GroupKeys,
    /// Offsite copies: where snapshots are copied from and to.
    OffsiteCopies,
    /// Accounts of the appliance.
    Users,
    /// Settings of the appliance: sign-up, second factor, mail.
    Settings,
    /// The appliance's own log, and bundles for whoever looks for a fault.
    Logs,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 19] = [
        Self::Groups,
        Self::Members,
        Self::Invitations,
        Self::JoinRequests,
        Self::ApiKeys,
        Self::Agents,
        Self::Deployments,
        Self::Backups,
        Self::Snapshots,
        Self::Restores,
        Self::Events,
        Self::Audit,
        Self::Daemons,
        Self::Blockstore,
        Self::GroupKeys,
        Self::OffsiteCopies,
        Self::Users,
        Self::Settings,
        Self::Logs,
    ];
}

use Action::{Change, Create, Delete, Read};
use Role::{BackupAdmin, MonitoringAdmin, Owner, ReadOnly, UserAdmin};

const EVERYONE: &[Role] = &[Owner, BackupAdmin, MonitoringAdmin, UserAdmin, ReadOnly];
const OWNERS: &[Role] = &[Owner];
const BACKUP: &[Role] = &[Owner, BackupAdmin];
const MONITORING: &[Role] = &[Owner, MonitoringAdmin];
const PEOPLE: &[Role] = &[Owner, UserAdmin];

/// Every permission there is.
pub const TABLE: &[(Resource, Action, &[Role])] = &[
    (Resource::Groups, Read, EVERYONE),
    (Resource::Groups, Create, OWNERS),
    (Resource::Groups, Change, OWNERS),
    (Resource::Members, Read, EVERYONE),
    (Resource::Members, Change, PEOPLE),
    (Resource::Members, Delete, PEOPLE),
    (Resource::Invitations, Read, PEOPLE),
    (Resource::Invitations, Create, PEOPLE),
    (Resource::Invitations, Delete, PEOPLE),
    (Resource::JoinRequests, Read, PEOPLE),
    (Resource::JoinRequests, Change, PEOPLE),
    (Resource::ApiKeys, Read, PEOPLE),
    (Resource::ApiKeys, Create, PEOPLE),
    (Resource::ApiKeys, Delete, PEOPLE),
    (Resource::Agents, Read, EVERYONE),
    (Resource::Agents, Create, MONITORING),
    (Resource::Agents, Delete, MONITORING),
    (Resource::Deployments, Read, EVERYONE),
    (Resource::Deployments, Create, MONITORING),
    (Resource::Deployments, Change, MONITORING),
    (Resource::Deployments, Delete, MONITORING),
    (Resource::Backups, Read, EVERYONE),
    (Resource::Backups, Create, BACKUP),
    (Resource::Backups, Change, BACKUP),
    (Resource::Backups, Delete, BACKUP),
    (Resource::Snapshots, Read, EVERYONE),
    (Resource::Snapshots, Create, BACKUP),
    (Resource::Snapshots, Change, BACKUP),
    (Resource::Snapshots, Delete, BACKUP),
    (Resource::Restores, Read, EVERYONE),
    (Resource::Restores, Create, BACKUP),
    (Resource::Restores, Change, BACKUP),
    (Resource::Restores, Delete, BACKUP),
    (Resource::Events, Read, EVERYONE),
    (Resource::Audit, Read, PEOPLE),
    (Resource::Daemons, Read, EVERYONE),
    (Resource::Daemons, Change, BACKUP),
    (Resource::Blockstore, Read, EVERYONE),
    (Resource::Blockstore, Create, BACKUP),
    (Resource::Blockstore, Change, BACKUP),
    (Resource::Blockstore, Delete, OWNERS),
    (Resource::GroupKeys, Read, OWNERS),
    (Resource::OffsiteCopies, Read, EVERYONE),
    (Resource::OffsiteCopies, Create, OWNERS),
    (Resource::OffsiteCopies, Change, BACKUP),
    (Resource::OffsiteCopies, Delete, OWNERS),
    (Resource::Users, Read, PEOPLE),
    (Resource::Users, Create, PEOPLE),
    (Resource::Users, Change, PEOPLE),
    (Resource::Settings, Read, PEOPLE),
    (Resource::Settings, Change, OWNERS),
    (Resource::Logs, Read, MONITORING),
];

/// True when one of the roles may do this.
#[must_use]
pub fn may(roles: &[Role], action: Action, resource: Resource) -> bool {
    TABLE.iter().any(|(of, what, allowed)| {
        *of == resource && *what == action && roles.iter().any(|role| allowed.contains(role))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn one_row_each_and_the_owner_in_all_of_them() {
        let mut seen = std::collections::BTreeSet::new();
        for (resource, action, roles) in TABLE {
            assert!(seen.insert((resource, action)), "{resource:?} {action:?} twice");
            assert!(roles.contains(&Owner), "{resource:?} {action:?}");
        }
        for resource in Resource::ALL {
            assert!(may(&[Owner], Read, resource), "{resource:?} can be read by someone");
        }
    }

    #[test]
    fn reading_is_all_that_a_reader_does() {
        for (resource, action, roles) in TABLE {
            if *action != Read {
                assert!(!roles.contains(&ReadOnly), "{resource:?} {action:?}");
            }
        }
        assert!(!may(&[], Read, Resource::Groups));
        assert!(may(&[ReadOnly, BackupAdmin], Create, Resource::Restores), "roles add up");
        assert!(!may(&[MonitoringAdmin], Create, Resource::Restores));
    }

    #[test]
    fn only_owners_make_owners() {
        for role in Role::ALL {
            assert_eq!(role.may_grant(Owner), role == Owner);
        }
        assert!(UserAdmin.may_grant(BackupAdmin) && !BackupAdmin.may_grant(ReadOnly));
    }

    #[test]
    fn the_words_of_the_first_release_are_read() {
        for (old, new) in [("admin", Owner), ("operator", BackupAdmin), ("viewer", ReadOnly)] {
            assert_eq!(serde_json::from_value::<Role>(old.into()).unwrap(), new);
        }
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
        }
    }
}
