//! The set-up of a new appliance from a JSON file: what the claim wizard asks, without a browser.
//!
//! Invariants: everything is checked before anything is written; nothing is changed on an appliance that has an administrator; no message
//! quotes a password of the file: what the parser says of values, which could be any, is not passed on. Called by the server's own command line alone.
//!
//! | field | what |
//! |---|---|
//! | `email`, `name`, `password` | the administrator's account |
//! | `group` | name of the first group |
//! | `policy` | what is promised in that group: `recoveryWindowSeconds`, `unprotectedSeconds`, `restoreSeconds` |
//! | `mail` | the mail server: `host`, `port`, `security` (`tls`, `startTls`, `none`), `from`, and as needed `username`, `password`, `ca` |
//! | `publicUrl` | the URL in links, `https://backup.example.com` |
//! | `access` | any of `signUp`, `totp`, `groupCreation`, `passwordCharsMin`, `sessionIdleMinutes`, `sessionHours`, `verifiedMinutes` |
//! | `backupDefaults` | any of `schedule`, `retention`, `linkHours`, `linkUses`, `policy` |
//!
//! The first four are required, the rest may be left out; the same words as in the API, with the same bounds.

use bson::Document;
use holdfast_domain::Role;
use holdfast_metadb::{AccessPolicy, BackupDefaults, Claim, Claimant, MetaDb, Seen, User, normal_url};
use holdfast_service::MasterKey;
use serde::Deserialize;

use crate::{
    access_settings::{AccessSettings, GroupCreationName, SignUpName, TotpName},
    backup_defaults::BackupDefaultsView,
    groups::check_name,
    mail::{self, SetMail},
    passwords::{allowed, hash_password},
    policies::PolicyView,
    problem::ApiError,
    settings::{RetentionView, ScheduleView},
};

/// What a set-up file holds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SetupFile {
    email: String,
    name: String,
    password: String,
    group: String,
    policy: Option<PolicyView>,
    mail: Option<SetMail>,
    public_url: Option<String>,
    access: Option<PartOfAccess>,
    backup_defaults: Option<PartOfDefaults>,
}

/// What is not said stays as it is on a new appliance.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PartOfAccess {
    sign_up: Option<SignUpName>,
    totp: Option<TotpName>,
    group_creation: Option<GroupCreationName>,
    password_chars_min: Option<u32>,
    session_idle_minutes: Option<u32>,
    session_hours: Option<u32>,
    verified_minutes: Option<u32>,
}

impl PartOfAccess {
    fn policy(&self) -> AccessPolicy {
        let mut all = AccessSettings::from(AccessPolicy::default());
        all.sign_up = self.sign_up.unwrap_or(all.sign_up);
        all.totp = self.totp.unwrap_or(all.totp);
        all.group_creation = self.group_creation.unwrap_or(all.group_creation);
        all.password_chars_min = self.password_chars_min.unwrap_or(all.password_chars_min);
        all.session_idle_minutes = self.session_idle_minutes.unwrap_or(all.session_idle_minutes);
        all.session_hours = self.session_hours.unwrap_or(all.session_hours);
        all.verified_minutes = self.verified_minutes.unwrap_or(all.verified_minutes);
        all.into()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PartOfDefaults {
    schedule: Option<ScheduleView>,
    retention: Option<RetentionView>,
    link_hours: Option<u32>,
    link_uses: Option<u32>,
    policy: Option<PolicyView>,
}

impl PartOfDefaults {
    fn defaults(&self) -> Result<BackupDefaults, ApiError> {
        let all = BackupDefaultsView::from(BackupDefaults::default());
        let all = BackupDefaultsView {
            schedule: self.schedule.unwrap_or(all.schedule),
            retention: self.retention.unwrap_or(all.retention),
            link_hours: self.link_hours.unwrap_or(all.link_hours),
            link_uses: self.link_uses.unwrap_or(all.link_uses),
            policy: self.policy.unwrap_or(all.policy),
        };
        all.checked()
    }
}

/// A set-up that was carried out.
#[derive(Debug)]
pub struct SetUp {
    /// Address of the administrator.
    pub email: String,
    /// Name of the first group.
    pub group: String,
}

/// Everything that is written, checked.
struct Checked {
    user: User,
    access: Option<AccessPolicy>,
    defaults: Option<BackupDefaults>,
    url: Option<String>,
    mail: Option<Document>,
}

impl SetupFile {
    /// Reads a file.
    ///
    /// # Errors
    /// A sentence that names the place and quotes no value.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|error| unquoted(&error))
    }

    /// Claims the appliance and sets everything that the file says. None: it has an administrator already, and nothing was changed.
    ///
    /// # Errors
    /// A sentence of what is wrong with the file; nothing was changed. Of a database that failed on the way: what was done stays done.
    pub async fn carry_out(&self, metadb: &MetaDb, master_key: &MasterKey) -> Result<Option<SetUp>, String> {
        let said = |error: ApiError| error.said();
        let Checked { user, access, defaults, url, mail } = self.checked(master_key).await.map_err(said)?;
        let claimed = metadb.claim(Claimant::Operator, &user, &self.group).await;
        let group = match claimed.map_err(|error| error.to_string())? {
            Claim::Done(group) => group,
            Claim::Claimed | Claim::WrongCode => return Ok(None),
        };
        let written = async {
            if let Some(access) = &access {
                metadb.put_access_policy(access).await?;
            }
            if let Some(defaults) = &defaults {
                metadb.put_backup_defaults(defaults, &Seen::ANY).await?;
            }
            if let Some(policy) = self.policy {
                metadb.put_policy(&group.id, None, &policy.into(), &Seen::ANY).await?;
            }
            if url.is_some() {
                metadb.put_public_url(url.as_deref(), &Seen::ANY).await?;
            }
            if let Some(mail) = mail {
                metadb.put_appliance_setting(mail::NAME, mail).await?;
            }
            Ok::<_, holdfast_metadb::MetaError>(())
        };
        written.await.map_err(|error| {
            format!("the administrator's account is made, the rest of the settings is not: set it in the app ({error})")
        })?;
        Ok(Some(SetUp { email: user.email, group: group.name }))
    }

    async fn checked(&self, master_key: &MasterKey) -> Result<Checked, ApiError> {
        let access = self.access.as_ref().map(PartOfAccess::policy);
        if let Some(access) = &access {
            access.check().map_err(crate::caller::meta_fault)?;
        }
        let defaults = self.backup_defaults.as_ref().map(PartOfDefaults::defaults).transpose()?;
        if let Some(policy) = self.policy {
            holdfast_domain::ProtectionPolicy::from(policy).check().map_err(ApiError::bad_request)?;
        }
        let url = self.public_url.as_deref().map(normal_url).transpose().map_err(ApiError::bad_request)?;
        let seal = |secret: &str| {
            let sealed = master_key.seal(&format!("settings/{}", mail::NAME), secret.as_bytes());
            sealed.map_err(|error| ApiError::from_class(holdfast_domain::ErrorClass::Bug, &error))
        };
        let mail = self.mail.as_ref().map(|set| mail::document(set.clone(), seal)).transpose()?;
        check_name(&self.group)?;
        let shortest = access.unwrap_or_default().password_chars_min;
        allowed(&self.password, shortest, &[&self.email, &self.name, &self.group])?;
        let user = User::new(&self.email, &self.name, None, vec![Role::Owner]);
        user.check().map_err(crate::caller::meta_fault)?;
        let password = Some(hash_password(&self.password).await.map_err(crate::hash_fault)?);
        Ok(Checked { user: User { password, ..user }, access, defaults, url, mail })
    }
}

/// What is wrong with a file, without any of its values: messages about fields name them and nothing else, all others may quote.
fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if ["unknown field", "missing field", "duplicate field"].iter().any(|kind| text.starts_with(kind)) {
        return text;
    }
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it ends too early",
        serde_json::error::Category::Data => "another kind of value is expected here",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "this is not JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn mistakes_are_named_and_values_are_not() {
        let of = |text: &str| SetupFile::parse(text.as_bytes()).err().unwrap_or_default();
        let start = r#"{"email": "a@b.c", "name": "A", "password": "hunter2hunter2", "group": "g""#;
        assert_eq!(of(&format!("{start}}}")), "");
        assert!(of(&format!("{start}, \"smtp\": {{}}}}")).starts_with("unknown field `smtp`"));
        assert!(of(r#"{"email": "a@b.c"}"#).starts_with("missing field"));
        for bad in [
            r#"{"email": "a@b.c", "password": 123456789012}"#.to_owned(),
            format!(r#"{start}, "mail": "hunter2hunter2"}}"#),
            format!(r#"{start}, "access": {{"signUp": "hunter2hunter2"}}}}"#),
            format!("{start} hunter2"),
            start.to_owned(),
        ] {
            let said = of(&bad);
            assert!(!said.is_empty() && !said.contains("hunter2") && !said.contains("123456"), "{said}");
            assert!(said.contains("line 1"), "{said}");
        }
    }
}
