//! The first-boot claim: one code, one claim, one administrator and the first group, in one transaction.

use bson::{DateTime, doc};
use holdfast_domain::{GroupId, Role};
use serde::{Deserialize, Serialize};

use crate::{
    Group, MetaDb, MetaError, User,
    error::{duplicate, on},
    hash_secret,
    txn::Tries,
};

/// `settings {_id: "setup"}`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Setup {
    #[serde(default)]
    code_hash: Option<String>,
    #[serde(default)]
    claimed: Option<DateTime>,
}

/// Who may claim.
#[derive(Clone, Copy, Debug)]
pub enum Claimant<'a> {
    /// Someone with the set-up code.
    Code(&'a str),
    /// The server's own command line.
    Operator,
}

/// What a claim did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The account and the group are made.
    Done(Group),
    /// Someone was faster, now or long ago.
    Claimed,
    /// The code is wrong.
    WrongCode,
}

impl MetaDb {
    /// True once an administrator has an account.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn claimed(&self) -> Result<bool, MetaError> {
        Ok(self.setup().await?.claimed.is_some())
    }

    async fn setup(&self) -> Result<Setup, MetaError> {
        let found = self.of("settings").find_one(doc! { "_id": "setup" }).await.map_err(on("read the set-up"))?;
        Ok(found.unwrap_or_default())
    }

    /// True when this is the code that the appliance waits for. False also when it is claimed.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn is_setup_code(&self, code: &str) -> Result<bool, MetaError> {
        let setup = self.setup().await?;
        Ok(setup.claimed.is_none() && setup.code_hash.is_some_and(|hash| hash == hash_secret(code)))
    }

    /// Sets the code. With `replace` it takes the place of one that is lost; without, False when there is one already. False also when the
    /// appliance is claimed.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn put_setup_code(&self, code: &str, replace: bool) -> Result<bool, MetaError> {
        let mut which = doc! { "_id": "setup", "claimed": null };
        if !replace {
            which.insert("codeHash", bson::Bson::Null);
        }
        let update = doc! { "$set": { "codeHash": hash_secret(code) } };
        match self.of::<Setup>("settings").update_one(which, update).upsert(true).await {
            Ok(_) => Ok(true),
            // It is there and does not match: claimed, or it has a code.
            Err(e) if duplicate(&e) => Ok(false),
            Err(e) => Err(on("set the set-up code")(e)),
        }
    }

    /// Claims the appliance: makes the account, a global owner, and the group (or joins the one of that name), whose owner it is. Of two
    /// claims at once one is done.
    ///
    /// # Errors
    /// [`MetaError::Invalid`] for a name or address that cannot be one, [`MetaError::Exists`] when the address is taken.
    pub async fn claim(&self, by: Claimant<'_>, user: &User, group: &str) -> Result<Claim, MetaError> {
        let op = "claim the appliance";
        user.check()?;
        let fresh = Group::new(group)?;
        let mut tries = Tries::default();
        loop {
            let mut session = self.begin(op).await?;
            let tried = self.claim_in(&mut session, by, user, &fresh).await;
            if let Some(done) = self.settle(op, &mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn claim_in(
        &self,
        session: &mut mongodb::ClientSession,
        by: Claimant<'_>,
        user: &User,
        fresh: &Group,
    ) -> Result<Claim, MetaError> {
        let op = "claim the appliance";
        let settings = self.of::<Setup>("settings");
        let found = settings.find_one(doc! { "_id": "setup" }).session(&mut *session).await.map_err(on(op))?;
        let found = found.unwrap_or_default();
        if found.claimed.is_some() {
            return Ok(Claim::Claimed);
        }
        if let Claimant::Code(code) = by
            && found.code_hash.as_deref() != Some(hash_secret(code).as_str())
        {
            return Ok(Claim::WrongCode);
        }
        let update = doc! { "$set": { "claimed": DateTime::now() }, "$unset": { "codeHash": "" } };
        let claimed = settings.update_one(doc! { "_id": "setup" }, update).upsert(true).session(&mut *session).await;
        claimed.map_err(on(op))?;
        let taken = |e: mongodb::error::Error| match duplicate(&e) {
            true => MetaError::Exists { what: "account", id: user.email.clone() },
            false => on(op)(e),
        };
        self.of::<User>("users").insert_one(user).session(&mut *session).await.map_err(taken)?;
        let groups = self.of::<Group>("groups");
        let found = groups.find_one(doc! { "name": &fresh.name }).session(&mut *session).await.map_err(on(op))?;
        let group = match found {
            Some(group) => group,
            None => {
                groups.insert_one(fresh).session(&mut *session).await.map_err(on(op))?;
                fresh.clone()
            }
        };
        let id: &GroupId = &group.id;
        self.put_member_in(session, id, &user.id, &[Role::Owner]).await?;
        Ok(Claim::Done(group))
    }
}
