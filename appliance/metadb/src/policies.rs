//! Policies of protection: one per group, and one per backup that says otherwise. `policies {_id: group | group/job, group, job, policy}`.
//!
//! Written and read by web alone; the daemon does not know them: they promise, settings make it so.

use std::collections::HashMap;

use bson::{Bson, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, GroupId, ProtectionPolicy};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError, Seen,
    error::{on, to_bson},
};

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    job: Option<BackupJobId>,
    #[serde(default)]
    policy: ProtectionPolicy,
    #[serde(default)]
    rev: i64,
}

/// The policies of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPolicies {
    /// Where the group says nothing: of the appliance.
    pub appliance: ProtectionPolicy,
    /// For every backup of it.
    pub group: ProtectionPolicy,
    /// Counts the changes of the group's.
    pub group_rev: i64,
    /// What backups say otherwise, each with the count of its changes.
    pub backups: HashMap<BackupJobId, (ProtectionPolicy, i64)>,
}

impl GroupPolicies {
    /// What a backup itself says.
    #[must_use]
    pub fn own(&self, job: &BackupJobId) -> ProtectionPolicy {
        self.backups.get(job).copied().unwrap_or_default().0
    }

    /// Counts the changes of what a backup itself says.
    #[must_use]
    pub fn own_rev(&self, job: &BackupJobId) -> i64 {
        self.backups.get(job).copied().unwrap_or_default().1
    }

    /// What backups are measured against that say nothing themselves.
    #[must_use]
    pub fn of_group(&self) -> ProtectionPolicy {
        self.group.or(self.appliance)
    }

    /// What a backup is measured against.
    #[must_use]
    pub fn of(&self, job: &BackupJobId) -> ProtectionPolicy {
        self.own(job).or(self.of_group())
    }
}

impl MetaDb {
    /// The policies of a group and of its backups.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn policies(&self, group: &GroupId) -> Result<GroupPolicies, MetaError> {
        let op = "read policies";
        let id = group.as_str();
        // Ids are hex: everything between `id/` and `id0` begins with `id/`.
        let filter = doc! { "$or": [{ "_id": id }, { "_id": { "$gte": format!("{id}/"), "$lt": format!("{id}0") } }] };
        let found: Vec<Stored> =
            self.of("policies").find(filter).await.map_err(on(op))?.try_collect().await.map_err(on(op))?;
        let appliance = self.backup_defaults().await?.policy;
        let mut policies = GroupPolicies { appliance, ..GroupPolicies::default() };
        for stored in found {
            match stored.job {
                None => (policies.group, policies.group_rev) = (stored.policy, stored.rev),
                Some(job) => {
                    policies.backups.insert(job, (stored.policy, stored.rev));
                }
            }
        }
        Ok(policies)
    }

    /// Sets the policy of a group, or of one of its backups, if it is at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] out of bounds, [`MetaError::Changed`], [`MetaError::Database`].
    pub async fn put_policy(
        &self,
        group: &GroupId,
        job: Option<&BackupJobId>,
        policy: &ProtectionPolicy,
        seen: &Seen,
    ) -> Result<i64, MetaError> {
        policy.check().map_err(|detail| MetaError::Invalid { what: "the policy", detail })?;
        let op = "store a policy";
        let id = job.map_or_else(|| group.to_string(), |job| format!("{group}/{job}"));
        let set = doc! {
            "group": group.clone(), "job": job.cloned().map_or(Bson::Null, Into::into), "policy": to_bson(op, policy)?,
        };
        self.put_seen(op, "policies", doc! { "_id": id }, seen, set).await
    }
}
