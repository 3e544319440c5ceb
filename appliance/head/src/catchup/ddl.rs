//! Commands of the oplog while an initial sync catches up: the head may already be, or never come to be, in the state that
//! they expect.
//!
//! Every command may run again after a crash: names come from the head's own catalog, the rest from documents that are
//! written together with the marker.

use holdfast_domain::OpTime;

use super::super::{
    applier::Failed,
    error::{EntryError, HeadError},
    feeder::Feeder,
    position::Position,
    raw::{self, Writer},
    translate::{Command, Op, OpKind, commands},
    uuid::CollectionUuid,
};
use super::{Aside, Model};

/// Update of a document that is not there.
const UPDATE_OF_MISSING: i32 = 218;

/// An operation that renames a collection to a name that nobody has.
pub(crate) fn rename_operation(uuid: CollectionUuid, from: &str, to: &str) -> Vec<u8> {
    let db = from.split_once('.').map_or(from, |(db, _)| db);
    let o = Writer::new(256)
        .text("renameCollection", from)
        .text("to", to)
        .bool("stayTemp", false)
        .bool("dropTarget", false)
        .finish();
    Writer::new(512).text("op", "c").text("ns", &format!("{db}.$cmd")).uuid("ui", uuid.0).document("o", &o).finish()
}

/// An operation that drops a collection.
pub(crate) fn drop_operation(uuid: CollectionUuid, ns: &str) -> Vec<u8> {
    let (db, name) = ns.split_once('.').unwrap_or((ns, ""));
    let o = Writer::new(128).text("drop", name).finish();
    Writer::new(256).text("op", "c").text("ns", &format!("{db}.$cmd")).uuid("ui", uuid.0).document("o", &o).finish()
}

impl Feeder {
    fn model(&mut self) -> Result<&mut Model, HeadError> {
        self.model.as_mut().ok_or(HeadError::WrongPhase { is: "steady", wanted: "in its initial sync" })
    }

    /// Stores what the model knows of a collection, in the batch that also moves the marker.
    async fn push_model(&mut self, uuid: CollectionUuid, at: OpTime, after: Position) -> Result<(), HeadError> {
        let operation = self.model()?.operation(uuid);
        self.push(&operation, at, after).await
    }

    async fn send(&mut self, op: &[u8], at: OpTime) -> Result<(), HeadError> {
        self.applier.alone(op, true).await.map_err(|failed| self.failed(failed, op, at))
    }

    async fn move_aside(&mut self, aside: Aside, at: OpTime) -> Result<(), HeadError> {
        tracing::debug!(from = aside.from, to = aside.to, "catching up: moved aside");
        self.send(&rename_operation(aside.uuid, &aside.from, &aside.to), at).await?;
        self.model()?.rename(aside.uuid, aside.to);
        Ok(())
    }

    async fn rename_known(&mut self, uuid: CollectionUuid, from: &str, to: &str, at: OpTime) -> Result<(), HeadError> {
        if from == to {
            return Ok(());
        }
        if let Some(aside) = self.model()?.aside(to, uuid) {
            self.move_aside(aside, at).await?;
        }
        self.send(&rename_operation(uuid, from, to), at).await?;
        self.model()?.rename(uuid, to.to_owned());
        Ok(())
    }

    async fn drop_known(&mut self, uuid: CollectionUuid, at: OpTime) -> Result<(), HeadError> {
        if let Some(ns) = self.model()?.name(uuid).map(str::to_owned) {
            self.send(&drop_operation(uuid, &ns), at).await?;
        }
        self.model()?.remove(uuid);
        Ok(())
    }

    pub(in super::super) async fn catch_up_command(
        &mut self,
        command: Command,
        op: &Op<'_>,
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        if command == Command::DropDatabase {
            // Every collection of it was dropped by an entry of its own. What is left was scanned later than this, so its
            // creation must follow.
            for uuid in self.model()?.of_database(op.db()) {
                self.model()?.set_orphan(uuid, true);
                self.push_model(uuid, at, self.pending).await?;
            }
            self.pending = after;
            return Ok(());
        }
        let Some(uuid) = op.ui else {
            // Only servers before 4.0 wrote commands on collections without UUID.
            return Err(HeadError::Unknown {
                at,
                ns: op.ns.to_owned(),
                what: "a command on a collection without its UUID".into(),
            });
        };
        match command {
            Command::Create => self.catch_up_create(op, uuid, at, after).await,
            Command::Rename => self.catch_up_rename(op, uuid, at, after).await,
            Command::Drop => {
                self.flush().await?;
                self.drop_known(uuid, at).await?;
                self.push_model(uuid, at, after).await?;
                self.flush().await
            }
            _ if self.model()?.name(uuid).is_none() => {
                self.pending = after;
                Ok(())
            }
            Command::CollMod => self.catch_up_coll_mod(op, uuid, at, after).await,
            Command::CreateIndexes
            | Command::CommitIndexBuild
            | Command::StartIndexBuild
            | Command::AbortIndexBuild
            | Command::DropIndexes => {
                self.edit_indexes(command, op, uuid).map_err(|source| HeadError::Decode { after: at, source })?;
                self.push_model(uuid, at, after).await
            }
            // emptycapped and convertToCapped: the documents that they left are inserted again by later entries.
            _ => {
                let name = self.collection_name(uuid)?;
                let o = commands::retarget(op.o, &name)
                    .map_err(|source| HeadError::Decode { after: at, source: source.into() })?;
                self.alone(&op.encode_with(op.ns, &o), at, after).await
            }
        }
    }

    fn collection_name(&mut self, uuid: CollectionUuid) -> Result<String, HeadError> {
        let name = self.model()?.name(uuid).and_then(|ns| ns.split_once('.')).map(|(_, name)| name.to_owned());
        name.ok_or(HeadError::UnknownCollection(uuid))
    }

    fn edit_indexes(&mut self, command: Command, op: &Op<'_>, uuid: CollectionUuid) -> Result<(), EntryError> {
        let Some(model) = self.model.as_mut() else { return Ok(()) };
        match command {
            Command::CreateIndexes | Command::CommitIndexBuild => {
                model.add_indexes(uuid, commands::index_specs(op)?)?
            }
            Command::DropIndexes => match raw::find(op.o, "index")? {
                Some(index) => match (index.text(), index.document()) {
                    (Some(name), _) => model.drop_index(uuid, name)?,
                    (None, Some(key)) => model.drop_index_by_key(uuid, key)?,
                    _ => return Err(EntryError::Field("index")),
                },
                None => return Err(EntryError::Field("index")),
            },
            // A list may show an index that is still being built; only its commit makes it one.
            _ => {
                for name in commands::index_names(op)? {
                    model.drop_index(uuid, name)?;
                }
            }
        }
        Ok(())
    }

    async fn catch_up_create(
        &mut self,
        op: &Op<'_>,
        uuid: CollectionUuid,
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        let name = op
            .command_target()
            .ok_or(HeadError::Decode { after: at, source: EntryError::Field("name of a collection") })?;
        let ns = format!("{}.{name}", op.db());
        if let Some(now) = self.model()?.name(uuid).map(str::to_owned) {
            // Scanned after this. It gets the name that it had at first, also when it was moved aside: what came later,
            // renames too, follows in the oplog.
            self.flush().await?;
            self.rename_known(uuid, &now, &ns, at).await?;
            self.model()?.set_orphan(uuid, false);
            self.push_model(uuid, at, after).await?;
            return self.flush().await;
        }
        let is_views = name == "system.views";
        let aside = self.model()?.aside(&ns, uuid);
        if aside.is_some() && is_views {
            // The scanned one came later, so this one will be dropped; it cannot be renamed to make room.
            self.pending = after;
            return Ok(());
        }
        self.flush().await?;
        let o = commands::create(op.o).map_err(|source| HeadError::Decode { after: at, source: source.into() })?;
        let create = op.encode_with(op.ns, &o);
        if ns == "admin.system.version" {
            self.applier.version_collection(&create, op.ui).await.map_err(|failed| self.failed(failed, &create, at))?;
        } else {
            if let Some(aside) = aside {
                self.move_aside(aside, at).await?;
            }
            self.send(&create, at).await?;
        }
        let capped = raw::find(op.o, "capped").ok().flatten().is_some_and(|capped| capped.truthy());
        self.model()?.insert(uuid, ns, capped);
        self.push_model(uuid, at, after).await?;
        self.flush().await
    }

    async fn catch_up_rename(
        &mut self,
        op: &Op<'_>,
        uuid: CollectionUuid,
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        let bad = |source: raw::RawError| HeadError::Decode { after: at, source: source.into() };
        let to = raw::find(op.o, "to").map_err(bad)?.and_then(|to| to.text());
        let to = to.ok_or(HeadError::Decode { after: at, source: EntryError::Field("to of a rename") })?;
        let target = raw::find(op.o, "dropTarget").map_err(bad)?.and_then(|target| target.uuid()).map(CollectionUuid);
        self.flush().await?;
        let target = target.filter(|target| *target != uuid);
        if let Some(target) = target {
            self.drop_known(target, at).await?;
        }
        if let Some(from) = self.model()?.name(uuid).map(str::to_owned) {
            self.rename_known(uuid, &from, to, at).await?;
        }
        match target {
            Some(target) => self.push_model(target, at, after).await?,
            None => self.pending = after,
        }
        self.flush().await
    }

    async fn catch_up_coll_mod(
        &mut self,
        op: &Op<'_>,
        uuid: CollectionUuid,
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        let bad = |source: raw::RawError| HeadError::Decode { after: at, source: source.into() };
        if let Some(index) = raw::find(op.o, "index").map_err(bad)?.and_then(|index| index.document()) {
            self.model()?.modify_index(uuid, index).map_err(bad)?;
            self.push_model(uuid, at, self.pending).await?;
        }
        let rest = commands::without(op.o, &["index"]).map_err(bad)?;
        // Only the collection's own options are left; where there are none, nothing is to be done now.
        if raw::elements(&rest).map_err(bad)?.count() > 1 {
            let name = self.collection_name(uuid)?;
            let o = commands::retarget(&rest, &name).map_err(bad)?;
            let change = Op { kind: OpKind::Command(Command::CollMod), o2: None, ..*op }.encode_with(op.ns, &o);
            self.flush().await?;
            match self.applier.alone(&change, true).await {
                Ok(()) => {}
                // The options were listed after this change, so it may contradict a later one (a granularity cannot be made
                // finer again). The catalogs are compared at the end.
                Err(Failed::Refused { code, message }) => {
                    tracing::info!(%at, code, message, "catching up: collMod left out")
                }
                Err(other) => return Err(self.failed(other, &change, at)),
            }
        }
        self.pending = after;
        self.flush().await
    }

    /// An update that must not make a document where there is none: a capped collection drops its oldest documents without
    /// saying so, and half a view is an error to the server.
    pub(in super::super) async fn update_if_there(
        &mut self,
        op: &[u8],
        at: OpTime,
        after: Position,
    ) -> Result<(), HeadError> {
        self.flush().await?;
        match self.applier.alone(op, false).await {
            Ok(()) | Err(Failed::Refused { code: UPDATE_OF_MISSING, .. }) => {}
            Err(other) => return Err(self.failed(other, op, at)),
        }
        self.pending = after;
        self.flush().await
    }
}
