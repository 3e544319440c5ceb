//! Who belongs to a group, with which roles; invitations and requests to join.
//!
//! Invariants: a group that has an owner keeps one: every change that could take the last one writes the group's document in the same
//! transaction, so that two such changes cannot pass each other. An invitation and a request are used once; an invitation only by the
//! account whose address it names, and never by who made it.

use std::time::Duration;

use bson::{Bson, DateTime, doc};
use futures::TryStreamExt as _;
use holdfast_domain::{GroupId, InvitationId, JoinRequestId, Role, UserId};
use mongodb::ClientSession;
use serde::{Deserialize, Serialize};

use crate::{
    Group, MetaDb, MetaError, SecretKind, Seen, User,
    api_keys::after,
    error::{duplicate, on, to_bson},
    hash_secret, new_secret, normal_email,
    seen::REV,
    txn::Tries,
};

/// How long an invitation holds: 7 days.
const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * 86_400);
/// Members, invitations and requests of one group that are read at most.
const LISTED_MAX: i64 = 1000;

/// A person in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The group.
    pub group: GroupId,
    /// The person.
    pub user: UserId,
    /// Roles, at least one.
    pub roles: Vec<Role>,
    /// Since when.
    pub since: DateTime,
    /// Counts the changes of the roles.
    #[serde(default)]
    pub rev: i64,
}

/// An invitation, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invitation {
    /// Id.
    #[serde(rename = "_id")]
    pub id: InvitationId,
    /// Hex SHA-256 of the secret.
    pub hash: String,
    /// Into which group.
    pub group: GroupId,
    /// Who is invited.
    pub email: String,
    /// Roles that the person will have.
    pub roles: Vec<Role>,
    /// Who invites.
    pub invited_by: String,
    /// The account behind who invites: it may not accept. None: nobody's key, or an invitation of an older server.
    #[serde(default)]
    pub inviter: Option<UserId>,
    /// When it was made.
    pub created: DateTime,
    /// Until when it can be used.
    pub expires: DateTime,
}

/// An invitation to make.
#[derive(Clone, Debug)]
pub struct NewInvitation<'a> {
    /// Who is invited.
    pub email: &'a str,
    /// Roles that the person will have.
    pub roles: &'a [Role],
    /// Who invites, as others see it.
    pub invited_by: &'a str,
    /// The account behind who invites.
    pub inviter: Option<&'a UserId>,
}

/// What became of an attempt to accept an invitation. Only [`Acceptance::Done`] has changed anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The person has joined, and the invitation is gone.
    Done(Invitation),
    /// It does not hold (any more).
    Over,
    /// It names another address.
    OtherAddress(Invitation),
    /// The person made it.
    OwnInvitation,
}

/// A request to join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// Id.
    #[serde(rename = "_id")]
    pub id: JoinRequestId,
    /// Which group.
    pub group: GroupId,
    /// Who.
    pub user: UserId,
    /// What the person says.
    pub message: String,
    /// When.
    pub created: DateTime,
}

impl MetaDb {
    /// A person's groups.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<Member>, MetaError> {
        let op = "read memberships";
        let found = self.of("members").find(doc! { "user": user.clone() }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// A group's people.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn members(&self, group: &GroupId) -> Result<Vec<Member>, MetaError> {
        let op = "read members";
        let filter = doc! { "group": group.clone() };
        let found = self.of("members").find(filter).sort(doc! { "since": 1 }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// A person in a group.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn member(&self, group: &GroupId, user: &UserId) -> Result<Option<Member>, MetaError> {
        let filter = doc! { "group": group.clone(), "user": user.clone() };
        self.of("members").find_one(filter).await.map_err(on("read a member"))
    }

    /// Gives a person these roles in the group and no others; none: the person leaves it. The last owner stays one.
    ///
    /// # Errors
    /// [`MetaError::LastOwner`], [`MetaError::NotFound`] when the group is gone.
    pub async fn put_member(&self, group: &GroupId, user: &UserId, roles: &[Role]) -> Result<(), MetaError> {
        self.put_member_seen(group, user, roles, &Seen::ANY).await
    }

    /// The same, if the member is at a revision that was seen.
    ///
    /// # Errors
    /// As [`Self::put_member`]; [`MetaError::Changed`], also when the person has left.
    pub async fn put_member_seen(
        &self,
        group: &GroupId,
        user: &UserId,
        roles: &[Role],
        seen: &Seen,
    ) -> Result<(), MetaError> {
        let op = "change a member";
        let mut tries = Tries::default();
        loop {
            let mut session = self.begin(op).await?;
            let tried = self.put_member_at(&mut session, (group, user), roles, seen).await;
            if let Some(done) = self.settle(op, &mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    pub(crate) async fn put_member_in(
        &self,
        session: &mut ClientSession,
        group: &GroupId,
        user: &UserId,
        roles: &[Role],
    ) -> Result<(), MetaError> {
        self.put_member_at(session, (group, user), roles, &Seen::ANY).await
    }

    async fn put_member_at(
        &self,
        session: &mut ClientSession,
        (group, user): (&GroupId, &UserId),
        roles: &[Role],
        seen: &Seen,
    ) -> Result<(), MetaError> {
        let op = "change a member";
        let guard = doc! { "$inc": { "membersVersion": 1_i64 } };
        let groups = self.of::<Group>("groups");
        let touched =
            groups.update_one(doc! { "_id": group.clone() }, guard).session(&mut *session).await.map_err(on(op))?;
        if touched.matched_count == 0 {
            return Err(MetaError::NotFound { what: "group", id: group.to_string() });
        }
        let members = self.of::<Member>("members");
        let which = doc! { "group": group.clone(), "user": user.clone() };
        let now = members.find_one(which.clone()).session(&mut *session).await.map_err(on(op))?;
        if *seen != Seen::ANY && !now.as_ref().is_some_and(|member| seen.allows(member.rev)) {
            return Err(MetaError::Changed);
        }
        let was = now.is_some_and(|member| member.roles.contains(&Role::Owner));
        if was && !roles.contains(&Role::Owner) {
            let others = doc! { "group": group.clone(), "user": { "$ne": user.clone() }, "roles": "owner" };
            if members.count_documents(others).session(&mut *session).await.map_err(on(op))? == 0 {
                return Err(MetaError::LastOwner);
            }
        }
        if roles.is_empty() {
            members.delete_one(which).session(&mut *session).await.map_err(on(op))?;
            return Ok(());
        }
        let mut roles = roles.to_vec();
        roles.sort_unstable();
        roles.dedup();
        let update = doc! {
            "$set": { "roles": to_bson(op, &roles)? }, "$setOnInsert": { "since": DateTime::now() },
            "$inc": { REV: 1_i64 },
        };
        members.update_one(which, update).upsert(true).session(&mut *session).await.map_err(on(op))?;
        Ok(())
    }

    /// Adds roles to those that the person has there.
    async fn join_in(
        &self,
        session: &mut ClientSession,
        group: &GroupId,
        user: &UserId,
        roles: &[Role],
    ) -> Result<(), MetaError> {
        let which = doc! { "group": group.clone(), "user": user.clone() };
        let now = self.of::<Member>("members").find_one(which).session(&mut *session).await;
        let mut all = now.map_err(on("join a group"))?.map(|member| member.roles).unwrap_or_default();
        all.extend_from_slice(roles);
        self.put_member_in(session, group, user, &all).await
    }

    /// True when somebody of this address is invited into some group, and may still come.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn is_invited(&self, email: &str) -> Result<bool, MetaError> {
        let filter = doc! { "email": normal_email(email), "expires": { "$gt": DateTime::now() } };
        let found = self.of::<Invitation>("invitations").find_one(filter).await;
        Ok(found.map_err(on("look for an invitation"))?.is_some())
    }

    /// Invites. The second value is the secret: it is shown once and stored nowhere.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn create_invitation(
        &self,
        group: &GroupId,
        new: NewInvitation<'_>,
    ) -> Result<(Invitation, String), MetaError> {
        let secret = new_secret(SecretKind::Invitation);
        let invitation = Invitation {
            id: InvitationId::random(),
            hash: hash_secret(&secret),
            group: group.clone(),
            email: normal_email(new.email),
            roles: new.roles.to_vec(),
            invited_by: new.invited_by.to_owned(),
            inviter: new.inviter.cloned(),
            created: DateTime::now(),
            expires: after(INVITATION_LIFETIME),
        };
        self.of::<Invitation>("invitations").insert_one(&invitation).await.map_err(on("invite"))?;
        Ok((invitation, secret))
    }

    /// The group's open invitations.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn invitations(&self, group: &GroupId) -> Result<Vec<Invitation>, MetaError> {
        let op = "list invitations";
        let filter = doc! { "group": group.clone(), "expires": { "$gt": DateTime::now() } };
        let found = self.of("invitations").find(filter).sort(doc! { "created": -1 }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// The invitation of this secret, while it holds.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn invitation(&self, secret: &str) -> Result<Option<Invitation>, MetaError> {
        let filter = doc! { "hash": hash_secret(secret), "expires": { "$gt": DateTime::now() } };
        self.of("invitations").find_one(filter).await.map_err(on("read an invitation"))
    }

    /// Takes an invitation back. False: there is none.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn revoke_invitation(&self, group: &GroupId, id: &InvitationId) -> Result<bool, MetaError> {
        let filter = doc! { "_id": id.clone(), "group": group.clone() };
        let done = self.of::<Invitation>("invitations").delete_one(filter).await;
        Ok(done.map_err(on("revoke an invitation"))?.deleted_count > 0)
    }

    /// Uses an invitation: the person of this account joins with its roles, and it is gone.
    ///
    /// # Errors
    /// [`MetaError::Database`], [`MetaError::NotFound`] when the group is gone.
    pub async fn accept_invitation(&self, secret: &str, user: &User) -> Result<Acceptance, MetaError> {
        self.accept(secret, user, false).await
    }

    /// The same with a new account, which is made in the same transaction: without the invitation there is no account.
    ///
    /// # Errors
    /// [`MetaError::Exists`] when the address is taken, [`MetaError::Invalid`], [`MetaError::Database`].
    pub async fn accept_with_account(&self, secret: &str, user: &User) -> Result<Acceptance, MetaError> {
        user.check()?;
        self.accept(secret, user, true).await
    }

    async fn accept(&self, secret: &str, user: &User, make: bool) -> Result<Acceptance, MetaError> {
        let op = "accept an invitation";
        let mut tries = Tries::default();
        loop {
            let mut session = self.begin(op).await?;
            let tried = self.accept_in(&mut session, secret, user, make).await;
            if let Some(done) = self.settle(op, &mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn accept_in(
        &self,
        session: &mut ClientSession,
        secret: &str,
        user: &User,
        make: bool,
    ) -> Result<Acceptance, MetaError> {
        let op = "accept an invitation";
        let invitations = self.of::<Invitation>("invitations");
        let filter = doc! { "hash": hash_secret(secret), "expires": { "$gt": DateTime::now() } };
        let found = invitations.find_one(filter).session(&mut *session).await.map_err(on(op))?;
        let Some(invitation) = found else { return Ok(Acceptance::Over) };
        if invitation.inviter.as_ref() == Some(&user.id) {
            return Ok(Acceptance::OwnInvitation);
        }
        if invitation.email != user.email {
            return Ok(Acceptance::OtherAddress(invitation));
        }
        let which = doc! { "_id": invitation.id.clone() };
        let taken = invitations.delete_one(which).session(&mut *session).await.map_err(on(op))?;
        if taken.deleted_count == 0 {
            return Ok(Acceptance::Over);
        }
        if make {
            let made = self.of::<User>("users").insert_one(user).session(&mut *session).await;
            made.map_err(|e| match duplicate(&e) {
                true => MetaError::Exists { what: "account", id: user.email.clone() },
                false => on(op)(e),
            })?;
        }
        self.join_in(session, &invitation.group, &user.id, &invitation.roles).await?;
        Ok(Acceptance::Done(invitation))
    }

    /// Asks to join. A second request of the same person replaces the words of the first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn request_join(&self, group: &GroupId, user: &UserId, message: &str) -> Result<JoinRequest, MetaError> {
        let op = "ask to join";
        let which = doc! { "group": group.clone(), "user": user.clone() };
        let update = doc! {
            "$set": { "message": message },
            "$setOnInsert": { "_id": JoinRequestId::random(), "created": DateTime::now() },
        };
        for last in [false, true] {
            let put = self
                .of::<JoinRequest>("join_requests")
                .find_one_and_update(which.clone(), update.clone())
                .upsert(true)
                .return_document(mongodb::options::ReturnDocument::After)
                .await;
            match put {
                Ok(Some(request)) => return Ok(request),
                Ok(None) => break,
                Err(e) if duplicate(&e) && !last => {}
                Err(e) => return Err(on(op)(e)),
            }
        }
        Err(MetaError::Contention { op })
    }

    /// Requests to join a group, oldest first.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn join_requests(&self, group: &GroupId) -> Result<Vec<JoinRequest>, MetaError> {
        let op = "list requests to join";
        let filter = doc! { "group": group.clone() };
        let found = self.of("join_requests").find(filter).sort(doc! { "created": 1 }).limit(LISTED_MAX).await;
        found.map_err(on(op))?.try_collect().await.map_err(on(op))
    }

    /// Answers a request: with roles the person joins, with none not; either way the request is gone. None: there is no such request.
    ///
    /// # Errors
    /// [`MetaError::Database`].
    pub async fn answer_join(
        &self,
        group: &GroupId,
        id: &JoinRequestId,
        roles: &[Role],
    ) -> Result<Option<JoinRequest>, MetaError> {
        let op = "answer a request to join";
        let mut tries = Tries::default();
        loop {
            let mut session = self.begin(op).await?;
            let tried = self.answer_in(&mut session, group, id, roles).await;
            if let Some(done) = self.settle(op, &mut session, &mut tries, tried).await {
                return done;
            }
        }
    }

    async fn answer_in(
        &self,
        session: &mut ClientSession,
        group: &GroupId,
        id: &JoinRequestId,
        roles: &[Role],
    ) -> Result<Option<JoinRequest>, MetaError> {
        let filter = doc! { "_id": Bson::from(id.clone()), "group": group.clone() };
        let taken = self.of::<JoinRequest>("join_requests").find_one_and_delete(filter).session(&mut *session).await;
        let Some(request) = taken.map_err(on("answer a request to join"))? else { return Ok(None) };
        if !roles.is_empty() {
            self.join_in(session, group, &request.user, roles).await?;
        }
        Ok(Some(request))
    }
}
