//! Sessions of people in browsers.
//!
//! Invariants: the secret (256 random bits) is in the cookie alone, stored is its hash; a session ends when it was not used for its idle
//! time, at its absolute end, or when it is revoked, whichever comes first. Removed by a TTL index, and never trusted after its end.

use std::time::Duration;

use bson::{DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::UserId;
use serde::{Deserialize, Serialize};

use crate::{MetaDb, MetaError, SecretKind, api_keys::after, error::on, hash_secret, new_secret};

/// A session's last use is written at most this often: 60 s.
const TOUCH_MILLIS: i64 = 60_000;
/// Sessions shown of one person.
const LISTED_MAX: i64 = 200;
/// Longest address and program name kept, in characters.
const TEXT_CHARS_MAX: usize = 200;

/// A session, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// Hex SHA-256 of the secret.
    #[serde(rename = "_id")]
    pub hash: String,
    /// What the person sees and names to revoke it.
    pub id: String,
    /// Whose.
    pub user: UserId,
    /// When it began.
    pub created: DateTime,
    /// When it was last used, to a minute.
    pub last_seen: DateTime,
    /// Its absolute end.
    pub expires: DateTime,
    /// It ends when it is not used for so many seconds.
    pub idle_seconds: i64,
    /// When the person last proved who they are (password or second factor).
    pub verified: DateTime,
    /// Where the person signed in from.
    pub address: String,
    /// The browser's words about itself.
    pub agent: String,
    /// A second factor was the business of the provider where the person signed in: the policy here does not ask for one.
    #[serde(default)]
    pub factor_elsewhere: bool,
}

/// A session to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Whose.
    pub user: UserId,
    /// Absolute life.
    pub lifetime: Duration,
    /// Longest pause between two uses.
    pub idle: Duration,
    /// Where from.
    pub address: String,
    /// The browser's words.
    pub agent: String,
    /// When the person proved who they are; None: just now.
    pub verified: Option<DateTime>,
    /// A second factor was the business of the provider where the person signed in.
    pub factor_elsewhere: bool,
}

impl MetaDb {
    /// Begins a session. The second value is the secret.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_session(&self, new: NewSession) -> Result<(Session, String), MetaError> {
        let secret = new_secret(SecretKind::Session);
        let now = DateTime::now();
        let cut = |text: &str| text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>();
        let session = Session {
            hash: hash_secret(&secret),
            id: UserId::random().to_string(),
            user: new.user,
            created: now,
            last_seen: now,
            expires: after(new.lifetime),
            idle_seconds: i64::try_from(new.idle.as_secs()).unwrap_or(i64::MAX / 1000),
            verified: new.verified.unwrap_or(now),
            address: cut(&new.address),
            agent: cut(&new.agent),
            factor_elsewhere: new.factor_elsewhere,
        };
        self.of::<Session>("sessions").insert_one(&session).await.map_err(on("begin a session"))?;
        Ok((session, secret))
    }

    /// The session of this secret, while it holds; notes that it was used.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn verify_session(&self, secret: &str) -> Result<Option<Session>, MetaError> {
        let op = "check a session";
        let hash = hash_secret(secret);
        let sessions = self.of::<Session>("sessions");
        let Some(session) = sessions.find_one(doc! { "_id": &hash }).await.map_err(on(op))? else { return Ok(None) };
        let now = DateTime::now();
        let unused_millis = now.timestamp_millis().saturating_sub(session.last_seen.timestamp_millis());
        if session.expires <= now || unused_millis > session.idle_seconds.saturating_mul(1000) {
            return Ok(None);
        }
        if unused_millis > TOUCH_MILLIS {
            let touch = doc! { "$set": { "lastSeen": now } };
            sessions.update_one(doc! { "_id": &hash }, touch).await.map_err(on(op))?;
        }
        Ok(Some(session))
    }

    /// Notes that the person has just proved who they are.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn session_verified(&self, hash: &str) -> Result<(), MetaError> {
        let update = doc! { "$set": { "verified": DateTime::now() } };
        let done = self.of::<Session>("sessions").update_one(doc! { "_id": hash }, update).await;
        done.map(|_| ()).map_err(on("note a proof of identity"))
    }

    /// A person's sessions, newest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn sessions(&self, user: &UserId) -> Result<Vec<Session>, MetaError> {
        let op = "list sessions";
        let filter = doc! { "user": user.clone(), "expires": { "$gt": DateTime::now() } };
        let found = self.of("sessions").find(filter).sort(doc! { "lastSeen": -1 }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Ends one of a person's sessions, by its id. False: there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn end_session(&self, user: &UserId, id: &str) -> Result<bool, MetaError> {
        let done = self.of::<Session>("sessions").delete_one(doc! { "user": user.clone(), "id": id }).await;
        Ok(done.map_err(on("end a session"))?.deleted_count > 0)
    }

    /// Ends all of a person's sessions but one (by its hash).
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn end_sessions(&self, user: &UserId, but: Option<&str>) -> Result<u64, MetaError> {
        let filter = doc! { "user": user.clone(), "_id": { "$ne": but.unwrap_or_default() } };
        let done = self.of::<Session>("sessions").delete_many(filter).await;
        Ok(done.map_err(on("end sessions"))?.deleted_count)
    }
}
