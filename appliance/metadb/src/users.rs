//! People's accounts.
//!
//! Invariants: an e-mail address is stored in lower case and belongs to one account; the password is an argon2id string made by web, never
//! the password; the second factor's secret comes in sealed; recovery codes are hashes. One global owner stays.

use bson::{Binary, Bson, DateTime, doc, spec::BinarySubtype};
use futures::TryStreamExt as _;
use holdfast_domain::{Role, UserId};
use serde::{Deserialize, Serialize};

use crate::{
    MetaDb, MetaError, Seen,
    error::{duplicate, on, to_bson},
    seen::REV,
    txn::Tries,
};

/// Longest e-mail address, in characters (RFC 5321).
const EMAIL_CHARS_MAX: usize = 254;
/// Longest name, in characters.
const NAME_CHARS_MAX: usize = 100;
/// Accounts of one answer at most.
const USERS_MAX: i64 = 500;

/// A second factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Totp {
    /// The secret, sealed with the master key for `users/<id>/totp`.
    sealed: Binary,
    /// The person has shown a code of it; before that it counts for nothing.
    pub confirmed: bool,
    /// Time step (30 s since 1970) of the last code that was taken: none at or before it is taken again.
    pub last_step: i64,
}

impl Totp {
    /// A second factor that is not confirmed yet.
    #[must_use]
    pub fn new(sealed: Vec<u8>) -> Self {
        Self { sealed: Binary { subtype: BinarySubtype::Generic, bytes: sealed }, confirmed: false, last_step: 0 }
    }

    /// The sealed secret.
    #[must_use]
    pub fn sealed(&self) -> &[u8] {
        &self.sealed.bytes
    }
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    /// Id.
    #[serde(rename = "_id")]
    pub id: UserId,
    /// E-mail address, lower case, unique.
    pub email: String,
    /// What others see.
    pub name: String,
    /// The password as an argon2id string (PHC); None: signs in elsewhere, or not yet at all.
    #[serde(default)]
    pub password: Option<String>,
    /// Roles in every group and over the appliance.
    #[serde(default)]
    pub global_roles: Vec<Role>,
    /// When it was made.
    pub created: DateTime,
    /// When it was shut; it cannot sign in.
    #[serde(default)]
    pub disabled: Option<DateTime>,
    /// Second factor.
    #[serde(default)]
    pub totp: Option<Totp>,
    /// Hex SHA-256 of the recovery codes that are left.
    #[serde(default)]
    pub recovery: Vec<String>,
    /// Where the person signs in: `local`, `oidc` or `ldap`.
    #[serde(default = "local")]
    pub origin: String,
    /// Who it is there (issuer and subject, or distinguished name).
    #[serde(default)]
    pub subject: Option<String>,
    /// Counts the changes of name, address, global roles and standing.
    #[serde(default)]
    pub rev: i64,
}

fn local() -> String {
    "local".into()
}

impl User {
    /// A new account.
    #[must_use]
    pub fn new(email: &str, name: &str, password: Option<String>, global_roles: Vec<Role>) -> Self {
        Self {
            id: UserId::random(),
            email: normal_email(email),
            name: name.trim().to_owned(),
            password,
            global_roles,
            created: DateTime::now(),
            disabled: None,
            totp: None,
            recovery: Vec::new(),
            origin: local(),
            subject: None,
            rev: 0,
        }
    }

    /// A second factor that counts.
    #[must_use]
    pub fn has_totp(&self) -> bool {
        self.totp.as_ref().is_some_and(|totp| totp.confirmed)
    }

    /// Refuses addresses and names that cannot be ones.
    ///
    /// # Errors
    /// [`MetaError::Invalid`].
    pub fn check(&self) -> Result<(), MetaError> {
        let wrong = |what, detail: String| Err(MetaError::Invalid { what, detail });
        let plain = |c: char| !c.is_control() && !c.is_whitespace() && !"<>,;:\"\\()[]".contains(c);
        let halves = self.email.split_once('@').is_some_and(|(who, host)| {
            !who.is_empty() && !host.is_empty() && !host.contains('@') && !host.starts_with('.') && !host.ends_with('.')
        });
        if !halves || self.email.chars().count() > EMAIL_CHARS_MAX || !self.email.chars().all(plain) {
            return wrong("the e-mail address", "it is not one: `name@host` is expected".into());
        }
        let count = self.name.chars().count();
        if count == 0 || count > NAME_CHARS_MAX || self.name.chars().any(char::is_control) {
            return wrong("the name", format!("1 to {NAME_CHARS_MAX} printable characters are expected"));
        }
        Ok(())
    }
}

/// An e-mail address as it is stored.
#[must_use]
pub fn normal_email(email: &str) -> String {
    email.trim().to_lowercase()
}

impl MetaDb {
    /// Makes an account.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the address is taken, [`MetaError::Invalid`].
    pub async fn create_user(&self, user: &User) -> Result<(), MetaError> {
        user.check()?;
        match self.of::<User>("users").insert_one(user).await {
            Ok(_) => Ok(()),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "account", id: user.email.clone() }),
            Err(e) => Err(on("make an account")(e)),
        }
    }

    /// An account.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn user(&self, id: &UserId) -> Result<Option<User>, MetaError> {
        self.of("users").find_one(doc! { "_id": id.clone() }).await.map_err(on("read an account"))
    }

    /// An account by its address.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn user_by_email(&self, email: &str) -> Result<Option<User>, MetaError> {
        self.of("users").find_one(doc! { "email": normal_email(email) }).await.map_err(on("read an account"))
    }

    /// An account by who it is elsewhere.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn user_by_subject(&self, origin: &str, subject: &str) -> Result<Option<User>, MetaError> {
        let filter = doc! { "origin": origin, "subject": subject };
        self.of("users").find_one(filter).await.map_err(on("read an account"))
    }

    /// From now on the person signs in elsewhere: the password here no longer works. False: the account signs in elsewhere already.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when someone else here is that person there.
    pub async fn link_user(&self, id: &UserId, origin: &str, subject: &str) -> Result<bool, MetaError> {
        let filter = doc! { "_id": id.clone(), "origin": { "$in": ["local", null] }, "subject": null };
        let update = doc! { "$set": { "origin": origin, "subject": subject, "password": null } };
        match self.of::<User>("users").update_one(filter, update).await {
            Ok(done) => Ok(done.matched_count > 0),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "account", id: subject.to_owned() }),
            Err(e) => Err(on("link an account")(e)),
        }
    }

    /// From now on the person signs in here again, by the password here.
    ///
    /// # Errors
    /// [`MetaError::NotFound`], [`MetaError::Database`].
    pub async fn unlink_user(&self, id: &UserId) -> Result<(), MetaError> {
        self.set_user(id, doc! { "origin": local(), "subject": null }).await
    }

    /// Accounts by address, after one; at most 500.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn users(&self, after: Option<&str>, limit: i64) -> Result<Vec<User>, MetaError> {
        let op = "list accounts";
        let filter = after.map_or_else(bson::Document::new, |email| doc! { "email": { "$gt": email } });
        let found = self.of("users").find(filter).sort(doc! { "email": 1 }).limit(limit.clamp(1, USERS_MAX)).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Accounts with these ids.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn users_by_ids(&self, ids: &[UserId]) -> Result<Vec<User>, MetaError> {
        let op = "read accounts";
        let ids: Vec<Bson> = ids.iter().cloned().map(Into::into).collect();
        let found = self.of("users").find(doc! { "_id": { "$in": ids } }).sort(doc! { "email": 1 }).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Changes what a person may change of themselves: name and address.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the address is taken, [`MetaError::Invalid`], [`MetaError::NotFound`].
    pub async fn put_profile(&self, user: &User) -> Result<(), MetaError> {
        self.put_profile_seen(user, &Seen::ANY).await
    }

    /// The same, if the account is at a revision that was seen.
    ///
    /// # Errors
    /// As [`Self::put_profile`]; [`MetaError::Changed`], also when the account is gone.
    pub async fn put_profile_seen(&self, user: &User, seen: &Seen) -> Result<(), MetaError> {
        user.check()?;
        let mut which = doc! { "_id": user.id.clone() };
        seen.narrow(&mut which, REV);
        let update = doc! { "$set": { "email": &user.email, "name": &user.name }, "$inc": { REV: 1_i64 } };
        match self.of::<User>("users").update_one(which, update).await {
            Ok(done) if done.matched_count > 0 => Ok(()),
            Ok(_) if *seen == Seen::ANY => Err(MetaError::NotFound { what: "account", id: user.id.to_string() }),
            Ok(_) => Err(MetaError::Changed),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "account", id: user.email.clone() }),
            Err(e) => Err(on("change an account")(e)),
        }
    }

    /// Sets the password (an argon2id string).
    ///
    /// # Errors
    /// [`MetaError::NotFound`], [`MetaError::Database`].
    pub async fn put_password(&self, id: &UserId, phc: &str) -> Result<(), MetaError> {
        self.set_user(id, doc! { "password": phc }).await
    }

    /// Sets or removes the second factor, with its recovery codes.
    ///
    /// # Errors
    /// [`MetaError::NotFound`], [`MetaError::Database`].
    pub async fn put_totp(&self, id: &UserId, totp: Option<&Totp>, recovery: &[String]) -> Result<(), MetaError> {
        let totp = to_bson("store a second factor", &totp)?;
        self.set_user(id, doc! { "totp": totp, "recovery": recovery.to_vec() }).await
    }

    /// Takes a time step of the second factor: true once for each, and for none before one that was taken.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn take_totp_step(&self, id: &UserId, step: i64) -> Result<bool, MetaError> {
        let filter = doc! { "_id": id.clone(), "totp.lastStep": { "$lt": step } };
        let update = doc! { "$set": { "totp.lastStep": step } };
        let done = self.of::<User>("users").update_one(filter, update).await.map_err(on("take a code"))?;
        Ok(done.matched_count > 0)
    }

    /// Takes a recovery code, named by its hash: true once.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn take_recovery(&self, id: &UserId, hash: &str) -> Result<bool, MetaError> {
        let filter = doc! { "_id": id.clone(), "recovery": hash };
        let update = doc! { "$pull": { "recovery": hash } };
        let done = self.of::<User>("users").update_one(filter, update).await.map_err(on("take a recovery code"))?;
        Ok(done.modified_count > 0)
    }

    async fn set_user(&self, id: &UserId, set: bson::Document) -> Result<(), MetaError> {
        let done = self.of::<User>("users").update_one(doc! { "_id": id.clone() }, doc! { "$set": set }).await;
        match done {
            Ok(done) if done.matched_count > 0 => Ok(()),
            Ok(_) => Err(MetaError::NotFound { what: "account", id: id.to_string() }),
            Err(e) if duplicate(&e) => Err(MetaError::Exists { what: "account", id: id.to_string() }),
            Err(e) => Err(on("change an account")(e)),
        }
    }

    /// Sets global roles and whether the account is shut. The last global owner that can sign in stays one.
    ///
    /// # Errors
    /// [`MetaError::LastOwner`], [`MetaError::NotFound`].
    pub async fn put_standing(&self, id: &UserId, roles: &[Role], disabled: bool) -> Result<(), MetaError> {
        self.put_standing_seen(id, roles, disabled, &Seen::ANY).await
    }

    /// The same, if the account is at a revision that was seen.
    ///
    /// # Errors
    /// As [`Self::put_standing`]; [`MetaError::Changed`].
    pub async fn put_standing_seen(
        &self,
        id: &UserId,
        roles: &[Role],
        disabled: bool,
        seen: &Seen,
    ) -> Result<(), MetaError> {
        let op = "change an account's roles";
        let mut tries = Tries::default();
        loop {
            let mut session = self.begin(op).await?;
            let tried = self.standing(&mut session, id, (roles, disabled), seen).await;
            if let Some(done) = self.settle(op, &mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn standing(
        &self,
        session: &mut mongodb::ClientSession,
        id: &UserId,
        (roles, disabled): (&[Role], bool),
        seen: &Seen,
    ) -> Result<(), MetaError> {
        let op = "change an account's roles";
        let guard = doc! { "$inc": { "version": 1_i64 } };
        let settings = self.of::<bson::Document>("settings");
        settings
            .update_one(doc! { "_id": "globalOwners" }, guard)
            .upsert(true)
            .session(&mut *session)
            .await
            .map_err(on(op))?;
        let users = self.of::<User>("users");
        let found = users.find_one(doc! { "_id": id.clone() }).session(&mut *session).await.map_err(on(op))?;
        let found = found.ok_or_else(|| MetaError::NotFound { what: "account", id: id.to_string() })?;
        if !seen.allows(found.rev) {
            return Err(MetaError::Changed);
        }
        let was = found.global_roles.contains(&Role::Owner) && found.disabled.is_none();
        let stays = roles.contains(&Role::Owner) && !disabled;
        if was && !stays {
            let others = doc! { "_id": { "$ne": id.clone() }, "globalRoles": "owner", "disabled": null };
            if users.count_documents(others).session(&mut *session).await.map_err(on(op))? == 0 {
                return Err(MetaError::LastOwner);
            }
        }
        let disabled = match (disabled, found.disabled) {
            (false, _) => Bson::Null,
            (true, Some(since)) => since.into(),
            (true, None) => DateTime::now().into(),
        };
        let set = doc! { "$set": { "globalRoles": to_bson(op, roles)?, "disabled": disabled }, "$inc": { REV: 1_i64 } };
        users.update_one(doc! { "_id": id.clone() }, set).session(&mut *session).await.map_err(on(op))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names() {
        for good in ["a@b", "A.B+c@Example.org "] {
            assert!(User::new(good, "A", None, Vec::new()).check().is_ok(), "{good}");
        }
        for bad in ["", "a", "@b", "a@", "a@b@c", "a b@c", "a\r\nBcc: x@y", "<a@b>", "a@b,c@d", "a@.b"] {
            assert!(User::new(bad, "A", None, Vec::new()).check().is_err(), "{bad}");
        }
        assert!(User::new("a@b", " ", None, Vec::new()).check().is_err());
        assert!(User::new("a@b", "x\r\nTo: y", None, Vec::new()).check().is_err());
        assert_eq!(User::new(" A@B.org", "A", None, Vec::new()).email, "a@b.org");
    }
}
