//! Secrets that are used once: password resets, confirmations of a sign-up or of a new address, the state of a sign-in elsewhere.

use std::time::Duration;

use bson::{DateTime, Document, doc};
use serde::{Deserialize, Serialize};

use crate::{MetaDb, MetaError, SecretKind, api_keys::after, error::on, hash_secret, new_secret};

/// What a secret is good for; one is never taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OneTimeKind {
    /// Set a new password.
    PasswordReset,
    /// Confirm the address of a sign-up.
    SignUp,
    /// A sign-in elsewhere that is under way.
    SignIn,
    /// Confirm a new address of an account.
    EmailChange,
    /// The second factor of a sign-in elsewhere that is right but for it.
    SignInCode,
}

impl OneTimeKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::PasswordReset => "passwordReset",
            Self::SignUp => "signUp",
            Self::SignIn => "signIn",
            Self::EmailChange => "emailChange",
            Self::SignInCode => "signInCode",
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct OneTime {
    #[serde(rename = "_id")]
    hash: String,
    kind: OneTimeKind,
    facts: Document,
    expires: DateTime,
}

impl MetaDb {
    /// Makes a secret; `facts` come back when it is used.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_one_time(
        &self,
        kind: OneTimeKind,
        facts: Document,
        lifetime: Duration,
    ) -> Result<String, MetaError> {
        let secret = new_secret(SecretKind::OneTime);
        let stored = OneTime { hash: hash_secret(&secret), kind, facts, expires: after(lifetime) };
        self.of::<OneTime>("one_time").insert_one(&stored).await.map_err(on("make a one-time secret"))?;
        Ok(secret)
    }

    /// What a secret stands for, without using it. None: as in [`Self::take_one_time`].
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn look_at_one_time(&self, kind: OneTimeKind, secret: &str) -> Result<Option<Document>, MetaError> {
        let filter = doc! { "_id": hash_secret(secret), "kind": kind.as_str(), "expires": { "$gt": DateTime::now() } };
        let found = self.of::<OneTime>("one_time").find_one(filter).await;
        Ok(found.map_err(on("read a one-time secret"))?.map(|stored| stored.facts))
    }

    /// Uses a secret. None: it is unknown, used, over, or for something else.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn take_one_time(&self, kind: OneTimeKind, secret: &str) -> Result<Option<Document>, MetaError> {
        let filter = doc! { "_id": hash_secret(secret), "kind": kind.as_str(), "expires": { "$gt": DateTime::now() } };
        let taken = self.of::<OneTime>("one_time").find_one_and_delete(filter).await;
        Ok(taken.map_err(on("use a one-time secret"))?.map(|stored| stored.facts))
    }

    /// Voids every secret of a kind whose facts name this user.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn void_one_time(&self, kind: OneTimeKind, user: &holdfast_domain::UserId) -> Result<(), MetaError> {
        let filter = doc! { "kind": kind.as_str(), "facts.user": user.clone() };
        let done = self.of::<OneTime>("one_time").delete_many(filter).await;
        done.map(|_| ()).map_err(on("void one-time secrets"))
    }
}
