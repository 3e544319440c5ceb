//! Policies of protection: one per group, and one per backup that says otherwise. `policies {_id: group | group/job, group, job, policy}`.
//!
//! Written and read by web alone; the daemon does not know them: they promise, settings make it so.

use std::collections::HashMap;

use bson::{Bson, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{BackupJobId, GroupId, ProtectionPolicy};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError,
    error::{on, to_bson},
};

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    #[serde(default)]
    job: Option<BackupJobId>,
    #[serde(default)]
    policy: ProtectionPolicy,
}

/// The policies of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupPolicies {
    /// For every backup of it.
    pub group: ProtectionPolicy,
    /// What backups say otherwise.
    pub backups: HashMap<BackupJobId, ProtectionPolicy>,
}

impl GroupPolicies {
    /// What a backup itself says.
    #[must_use]
    pub fn own(&self, job: &BackupJobId) -> ProtectionPolicy {
        self.backups.get(job).copied().unwrap_or_default()
    }

    /// What a backup is measured against.
    #[must_use]
    pub fn of(&self, job: &BackupJobId) -> ProtectionPolicy {
        self.own(job).or(self.group)
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
        let mut policies = GroupPolicies::default();
        for stored in found {
            match stored.job {
                None => policies.group = stored.policy,
                Some(job) => {
                    policies.backups.insert(job, stored.policy);
                }
            }
        }
        Ok(policies)
    }

    /// Sets the policy of a group, or of one of its backups.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] out of bounds, [`MetaError::Database`].
    pub async fn put_policy(
        &self,
        group: &GroupId,
        job: Option<&BackupJobId>,
        policy: &ProtectionPolicy,
    ) -> Result<(), MetaError> {
        policy.check().map_err(|detail| MetaError::Invalid { what: "the policy", detail })?;
        let op = "store a policy";
        let id = job.map_or_else(|| group.to_string(), |job| format!("{group}/{job}"));
        let set = doc! {
            "group": group.clone(), "job": job.cloned().map_or(Bson::Null, Into::into), "policy": to_bson(op, policy)?,
        };
        let done =
            self.of::<Stored>("policies").update_one(doc! { "_id": id }, doc! { "$set": set }).upsert(true).await;
        done.map(|_| ()).map_err(on(op))
    }
}
