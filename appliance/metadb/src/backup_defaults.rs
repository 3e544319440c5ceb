//! What new backups begin with, and what is promised where neither a backup nor its group says otherwise. One document, shared by all
//! instances; backups that there are keep what they have.

use holdfast_domain::{ProtectionPolicy, RetentionPolicy, SnapshotSchedule};
use serde::{Deserialize, Serialize};

use crate::{BackupSettings, MetaDb, MetaError, Seen, error::to_bson};

/// Name of the setting.
const NAME: &str = "backupDefaults";
/// Hours that a link holds by default.
const LINK_HOURS: u32 = 24;
/// Uses of a link by default.
const LINK_USES: u32 = 3;

/// The defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackupDefaults {
    /// When snapshots are due.
    pub schedule: SnapshotSchedule,
    /// What is kept.
    pub retention: RetentionPolicy,
    /// Hours that a restore link holds: 1 to 720.
    pub link_hours: u32,
    /// Uses of a restore link: 1 to 1000.
    pub link_uses: u32,
    /// What is promised.
    pub policy: ProtectionPolicy,
}

impl Default for BackupDefaults {
    fn default() -> Self {
        Self {
            schedule: SnapshotSchedule::default(),
            retention: RetentionPolicy::default(),
            link_hours: LINK_HOURS,
            link_uses: LINK_USES,
            policy: ProtectionPolicy::default(),
        }
    }
}

impl BackupDefaults {
    /// Refuses values out of range, as they are refused of a backup.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] naming the first.
    pub fn check(&self) -> Result<(), MetaError> {
        let settings = BackupSettings {
            schedule: Some(self.schedule),
            retention: Some(self.retention),
            link_hours: Some(self.link_hours),
            link_uses: Some(self.link_uses),
            ..BackupSettings::default()
        };
        settings.check()?;
        self.policy.check().map_err(|detail| MetaError::Invalid { what: "the policy", detail })
    }
}

impl MetaDb {
    /// The defaults in force.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Form`].
    pub async fn backup_defaults(&self) -> Result<BackupDefaults, MetaError> {
        Ok(self.backup_defaults_at().await?.0)
    }

    /// The same with their revision.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::Form`].
    pub async fn backup_defaults_at(&self) -> Result<(BackupDefaults, i64), MetaError> {
        let (stored, revision) = self.appliance_setting_at(NAME).await?;
        let Some(stored) = stored else { return Ok((BackupDefaults::default(), revision)) };
        let read = bson::deserialize_from_document(stored);
        let read = read.map_err(|source| MetaError::Form { op: "read the defaults of backups", source })?;
        Ok((read, revision))
    }

    /// Sets the defaults, if they are at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// [`MetaError::Invalid`], [`MetaError::Changed`], [`MetaError::Database`].
    pub async fn put_backup_defaults(&self, defaults: &BackupDefaults, seen: &Seen) -> Result<i64, MetaError> {
        defaults.check()?;
        match to_bson("store the defaults of backups", defaults)? {
            bson::Bson::Document(value) => self.put_appliance_setting_seen(NAME, value, seen).await,
            _ => Err(MetaError::Changed),
        }
    }
}
