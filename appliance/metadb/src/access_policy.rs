//! What the appliance asks of people: sign-up, second factor, passwords, sessions. One document, shared by all instances.

use serde::{Deserialize, Serialize};

use crate::{MetaDb, MetaError, Seen, error::to_bson};

/// Name of the setting.
const NAME: &str = "access";

/// Who may make an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SignUp {
    /// Anyone with a mailbox.
    Open,
    /// Who is invited.
    #[default]
    Invitation,
    /// Nobody: user administrators make accounts.
    Closed,
}

/// Who needs a second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TotpPolicy {
    /// Nobody can have one.
    Off,
    /// Who wants.
    #[default]
    Optional,
    /// Who holds a global role.
    GlobalRoles,
    /// Everyone.
    All,
}

/// Who may make a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GroupCreation {
    /// Global owners.
    #[default]
    Administrators,
    /// Everyone with an account; whoever makes one owns it.
    Everyone,
}

/// The policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AccessPolicy {
    /// Who may make an account.
    pub sign_up: SignUp,
    /// Who needs a second factor.
    pub totp: TotpPolicy,
    /// Who may make a group.
    pub group_creation: GroupCreation,
    /// Shortest password, in characters: 8 to 128.
    pub password_chars_min: u32,
    /// A session ends when it is not used for so many minutes: 5 to 10,080.
    pub session_idle_minutes: u32,
    /// A session ends after so many hours: 1 to 720.
    pub session_hours: u32,
    /// How long a proof of identity counts for restores and deletes, in minutes: 1 to 1,440.
    pub verified_minutes: u32,
}

impl Default for AccessPolicy {
    fn default() -> Self {
        Self {
            sign_up: SignUp::default(),
            totp: TotpPolicy::default(),
            group_creation: GroupCreation::default(),
            password_chars_min: 12,
            session_idle_minutes: 12 * 60,
            session_hours: 7 * 24,
            verified_minutes: 15,
        }
    }
}

impl AccessPolicy {
    /// Refuses values out of range.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] naming the first.
    pub fn check(&self) -> Result<(), MetaError> {
        let all = [
            ("passwordCharsMin", self.password_chars_min, 8..=128),
            ("sessionIdleMinutes", self.session_idle_minutes, 5..=10_080),
            ("sessionHours", self.session_hours, 1..=720),
            ("verifiedMinutes", self.verified_minutes, 1..=1_440),
        ];
        for (what, value, range) in all {
            if !range.contains(&value) {
                let detail = format!("{} to {} is expected", range.start(), range.end());
                return Err(MetaError::Invalid { what, detail });
            }
        }
        Ok(())
    }
}

impl MetaDb {
    /// The policy in force.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn access_policy(&self) -> Result<AccessPolicy, MetaError> {
        Ok(self.access_policy_at().await?.0)
    }

    /// The policy in force, with its revision.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn access_policy_at(&self) -> Result<(AccessPolicy, i64), MetaError> {
        let (stored, revision) = self.appliance_setting_at(NAME).await?;
        let Some(stored) = stored else { return Ok((AccessPolicy::default(), revision)) };
        let read = bson::deserialize_from_document(stored);
        let read = read.map_err(|source| MetaError::Form { op: "read the access policy", source })?;
        Ok((read, revision))
    }

    /// Sets the policy.
    ///
    /// # Errors
    /// [`MetaError::Invalid`], [`MetaError::Database`].
    pub async fn put_access_policy(&self, policy: &AccessPolicy) -> Result<(), MetaError> {
        self.put_access_policy_seen(policy, &Seen::ANY).await.map(|_| ())
    }

    /// Sets the policy, if it is at a revision that was seen; gives the revision after it.
    ///
    /// # Errors
    /// As [`Self::put_access_policy`]; [`MetaError::Changed`].
    pub async fn put_access_policy_seen(&self, policy: &AccessPolicy, seen: &Seen) -> Result<i64, MetaError> {
        policy.check()?;
        match to_bson("store the access policy", policy)? {
            bson::Bson::Document(value) => self.put_appliance_setting_seen(NAME, value, seen).await,
            _ => Err(MetaError::Changed),
        }
    }
}
