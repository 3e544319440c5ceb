//! Collections of an initial sync: made, emptied, discarded.

use bson::{Document, doc};

use super::super::{
    applier::Applier,
    batch,
    catalog::server,
    catchup::{STATE_NS, drop_operation, rename_operation},
    error::HeadError,
    open::{Phase, store},
    raw::{self, RawError, Writer, kind},
    translate::commands,
    uuid::CollectionUuid,
};
use super::{CollectionSpec, Loader, PROGRESS, State, WRITE_STATE};

/// Index on `_id` of every version since 3.4, where the source's list does not show one.
fn id_index() -> Vec<u8> {
    Writer::new(64).int32("v", 2).begin(kind::DOCUMENT, "key").int32("_id", 1).end().text("name", "_id_").finish()
}

fn broken(_: RawError) -> HeadError {
    HeadError::Answer { what: "a collection's description", field: "valid BSON" }
}

/// The operation that creates a collection as it is on the source.
fn create_operation(spec: &CollectionSpec) -> Result<Vec<u8>, RawError> {
    let options = commands::create(spec.options.as_bytes())?;
    let mut o = Writer::new(options.len() + 256);
    o.text("create", &spec.name);
    let mut without_id_index = false;
    for element in raw::elements(&options)? {
        let element = element?;
        match element.key {
            b"uuid" | b"idIndex" => continue,
            b"clusteredIndex" => without_id_index = true,
            b"autoIndexId" => without_id_index |= !element.truthy(),
            _ => {}
        }
        o.copy(&element);
    }
    if !without_id_index {
        let mut listed = None;
        for index in &spec.indexes {
            if commands::name_of(index.as_bytes())? == Some("_id_") {
                listed = Some(commands::without(index.as_bytes(), &["ns"])?);
            }
        }
        o.document("idIndex", &listed.unwrap_or_else(id_index));
    }
    let mut operation = Writer::new(options.len() + 512);
    operation
        .text("op", "c")
        .text("ns", &format!("{}.$cmd", spec.db))
        .uuid("ui", spec.uuid.0)
        .document("o", &o.finish());
    Ok(operation.finish())
}

impl Loader {
    /// Announces a collection: creates it with the source's UUID and options, unless it is there. A collection that is
    /// announced again (by a new scan, or after a crash, which may have come while it was being emptied) keeps its name on the head, which the oplog will set right; its indexes are taken
    /// from the newer list. What belongs to the server and not to the data is taken and left out.
    ///
    /// # Errors
    /// The server refuses the options, or does not answer.
    pub async fn collection(&self, spec: &CollectionSpec) -> Result<(), HeadError> {
        self.head.require(Phase::Loading)?;
        let mut state = self.state.lock().await;
        let ns = format!("{}.{}", spec.db, spec.name);
        if matches!(spec.db.as_str(), "local" | "config") || spec.name == "system.profile" {
            state.left_out.insert(spec.uuid);
            return Ok(());
        }
        if state.model.name(spec.uuid).is_none() {
            let create = create_operation(spec).map_err(broken)?;
            if ns == "admin.system.version" {
                let renewed = self.applier.version_collection(&create, Some(spec.uuid)).await;
                renewed.map_err(|failed| failed.into_error("create admin.system.version"))?;
                self.forget_private_version(&mut state, spec.uuid);
            } else {
                if let Some(aside) = state.model.aside(&ns, spec.uuid) {
                    self.run(&rename_operation(aside.uuid, &aside.from, &aside.to), "move a collection aside").await?;
                    state.model.rename(aside.uuid, aside.to);
                }
                self.run(&create, "create a collection").await?;
            }
            let capped =
                raw::find(spec.options.as_bytes(), "capped").map_err(broken)?.is_some_and(|capped| capped.truthy());
            state.model.insert(spec.uuid, ns, capped);
        }
        state.model.set_indexes(spec.uuid, spec.indexes.iter().map(|index| index.as_bytes())).map_err(broken)?;
        store(&self.applier, &[state.model.operation(spec.uuid)], WRITE_STATE).await
    }

    /// The head's own collection of that name is gone.
    fn forget_private_version(&self, state: &mut State, uuid: CollectionUuid) {
        if let Some(own) = state.model.uuid("admin.system.version").filter(|own| *own != uuid) {
            state.model.remove(own);
        }
    }

    async fn run(&self, operation: &[u8], what: &'static str) -> Result<(), HeadError> {
        self.applier.alone(operation, true).await.map_err(|failed| failed.into_error(what))
    }

    async fn forget_progress(&self, state: &mut State, uuid: CollectionUuid) -> Result<(), HeadError> {
        state.progress.remove(&uuid);
        store(&self.applier, &[batch::remove(STATE_NS, &format!("{PROGRESS}{uuid}"))], WRITE_STATE).await
    }

    /// Drops a collection and makes it again as it was, with the same UUID.
    pub(super) async fn empty(&self, uuid: CollectionUuid) -> Result<(), HeadError> {
        let mut state = self.state.lock().await;
        let ns = state.model.name(uuid).ok_or(HeadError::UnknownCollection(uuid))?.to_owned();
        self.forget_progress(&mut state, uuid).await?;
        // The version document must never be missing; documents of a new scan replace it.
        if ns == "admin.system.version" {
            return Ok(());
        }
        let (db, name) = ns.split_once('.').ok_or(HeadError::UnknownCollection(uuid))?;
        let what = "read the options of a collection";
        let command = doc! { "listCollections": 1, "filter": { "name": name } };
        let mut cursor = self.client.database(db).run_cursor_command(command).await.map_err(server(what))?;
        let lacks = |field| HeadError::Answer { what: "listCollections of the head", field };
        if !cursor.advance().await.map_err(server(what))? {
            return Err(lacks("the collection"));
        }
        let listed: Document = cursor.deserialize_current().map_err(server(what))?;
        let options = listed.get_document("options").cloned().unwrap_or_default();
        let mut indexes = Vec::new();
        if let Ok(id_index) = listed.get_document("idIndex") {
            indexes.push(bson::RawDocumentBuf::try_from(id_index).map_err(|_| lacks("idIndex"))?);
        }
        let spec = CollectionSpec {
            uuid,
            db: db.to_owned(),
            name: name.to_owned(),
            options: bson::RawDocumentBuf::try_from(&options).map_err(|_| lacks("options"))?,
            indexes,
        };
        let create = create_operation(&spec).map_err(broken)?;
        self.run(&drop_operation(uuid, &ns), "empty a collection").await?;
        self.run(&create, "empty a collection").await
    }

    pub(super) async fn discard(&self, uuid: CollectionUuid) -> Result<(), HeadError> {
        let mut state = self.state.lock().await;
        self.forget_progress(&mut state, uuid).await?;
        if let Some(ns) = state.model.name(uuid).filter(|ns| *ns != "admin.system.version").map(str::to_owned) {
            self.run(&drop_operation(uuid, &ns), "discard a collection").await?;
            state.model.remove(uuid);
        }
        store(&self.applier, &[batch::remove(STATE_NS, &uuid.to_string())], WRITE_STATE).await
    }
}
