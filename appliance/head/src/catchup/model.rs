//! What an initial sync knows of the collections it loads: names by UUID, and indexes that are not built yet.
//!
//! After a crash the names are read from the head's own catalog, the indexes from `local.holdfast_catchup`, whose documents
//! change in the same atomic batches as the marker: so both are as exact as the marker.

use std::collections::{HashMap, HashSet};

use bson::{Bson, Document};

use super::super::{
    batch,
    catalog::Named,
    error::HeadError,
    raw::{self, RawError, Writer, kind},
    translate::{Op, commands},
    uuid::CollectionUuid,
};

/// Collection in `local` that holds the state of an initial sync. It is dropped when the sync is finished.
pub(crate) const STATE: &str = "holdfast_catchup";
/// Its namespace.
pub(crate) const STATE_NS: &str = "local.holdfast_catchup";
/// How collections are named that had to make room for another.
const ASIDE: &str = "holdfast_aside_";

/// A collection that has to be renamed to make room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) uuid: CollectionUuid,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Model {
    names: HashMap<CollectionUuid, String>,
    uuids: HashMap<String, CollectionUuid>,
    capped: HashSet<CollectionUuid>,
    indexes: HashMap<CollectionUuid, Vec<Vec<u8>>>,
    /// Alive when their database was dropped: they must be created again before the end.
    orphans: HashSet<CollectionUuid>,
}

impl Model {
    /// The model after a restart. `state`: the documents of [`STATE`].
    pub(crate) fn restore(names: &[Named], state: &[Document]) -> Result<Self, HeadError> {
        let mut model = Self::default();
        for named in names {
            model.insert(named.uuid, named.ns.clone(), named.capped);
        }
        for document in state {
            let Some(uuid) = document.get_str("_id").ok().and_then(|id| id.parse::<CollectionUuid>().ok()) else {
                continue;
            };
            let lacks = HeadError::Answer { what: "local.holdfast_catchup", field: "indexes" };
            let Ok(specs) = document.get_array("indexes") else { return Err(lacks) };
            let raw = |spec: &Bson| spec.as_document().and_then(|spec| spec.to_vec().ok());
            let Some(specs) = specs.iter().map(raw).collect() else { return Err(lacks) };
            model.indexes.insert(uuid, specs);
            if document.get_bool("orphan").unwrap_or(false) {
                model.orphans.insert(uuid);
            }
        }
        Ok(model)
    }

    /// A collection is there.
    pub(crate) fn insert(&mut self, uuid: CollectionUuid, ns: String, capped: bool) {
        if let Some(old) = self.names.insert(uuid, ns.clone()) {
            self.uuids.remove(&old);
        }
        self.uuids.insert(ns, uuid);
        if capped {
            self.capped.insert(uuid);
        }
    }

    /// A collection has another name.
    pub(crate) fn rename(&mut self, uuid: CollectionUuid, to: String) {
        let capped = self.capped.contains(&uuid);
        self.insert(uuid, to, capped);
    }

    /// A collection is gone.
    pub(crate) fn remove(&mut self, uuid: CollectionUuid) {
        if let Some(ns) = self.names.remove(&uuid) {
            self.uuids.remove(&ns);
        }
        self.capped.remove(&uuid);
        self.indexes.remove(&uuid);
        self.orphans.remove(&uuid);
    }

    /// Name of a collection on the head.
    pub(crate) fn name(&self, uuid: CollectionUuid) -> Option<&str> {
        self.names.get(&uuid).map(String::as_str)
    }

    /// UUID of the collection with this name on the head.
    pub(crate) fn uuid(&self, ns: &str) -> Option<CollectionUuid> {
        self.uuids.get(ns).copied()
    }

    /// Name on the head of the collection that an operation changes; None when the head does not have it.
    pub(crate) fn namespace(&self, op: &Op<'_>) -> Option<&str> {
        match op.ui {
            Some(uuid) => self.name(uuid),
            None => self.uuids.get_key_value(op.ns).map(|(ns, _)| ns.as_str()),
        }
    }

    /// Whether an operation is on a capped collection.
    pub(crate) fn is_capped(&self, op: &Op<'_>) -> bool {
        op.ui.or_else(|| self.uuid(op.ns)).is_some_and(|uuid| self.capped.contains(&uuid))
    }

    /// Whether this collection is capped.
    pub(crate) fn capped(&self, uuid: CollectionUuid) -> bool {
        self.capped.contains(&uuid)
    }

    /// The collection that has to make room for `uuid` to take the name `ns`.
    pub(crate) fn aside(&self, ns: &str, uuid: CollectionUuid) -> Option<Aside> {
        let other = self.uuid(ns).filter(|other| *other != uuid)?;
        let db = ns.split_once('.').map_or(ns, |(db, _)| db);
        Some(Aside { uuid: other, from: ns.to_owned(), to: format!("{db}.{ASIDE}{other}") })
    }

    /// Collections of a database.
    pub(crate) fn of_database(&self, db: &str) -> Vec<CollectionUuid> {
        let mut found: Vec<_> = self
            .names
            .iter()
            .filter(|(_, ns)| ns.split_once('.').is_some_and(|(of, _)| of == db))
            .map(|(uuid, _)| *uuid)
            .collect();
        found.sort();
        found
    }

    /// Marks a collection that lives on though its database was dropped, or that has been created after all.
    pub(crate) fn set_orphan(&mut self, uuid: CollectionUuid, orphan: bool) {
        if orphan {
            self.orphans.insert(uuid);
        } else {
            self.orphans.remove(&uuid);
        }
    }

    /// Replaces all indexes of a collection. `_id`'s and a clustered one come with the collection; one that is still being
    /// built is not there yet.
    pub(crate) fn set_indexes<'a>(
        &mut self,
        uuid: CollectionUuid,
        specs: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), RawError> {
        let mut kept = Vec::new();
        for spec in specs {
            let has = |field| raw::find(spec, field).map(|found| found.is_some());
            if commands::name_of(spec)? == Some("_id_") || has("clustered")? || has("buildUUID")? {
                continue;
            }
            kept.push(commands::without(spec, &["ns", "background"])?);
        }
        self.indexes.insert(uuid, kept);
        Ok(())
    }

    /// Adds indexes, or replaces those of the same name.
    pub(crate) fn add_indexes(&mut self, uuid: CollectionUuid, specs: Vec<Vec<u8>>) -> Result<(), RawError> {
        for spec in specs {
            if let Some(name) = commands::name_of(&spec)?.map(str::to_owned) {
                self.drop_index(uuid, &name)?;
            }
            self.indexes.entry(uuid).or_default().push(spec);
        }
        Ok(())
    }

    /// Drops an index by name, or all for `*`.
    pub(crate) fn drop_index(&mut self, uuid: CollectionUuid, name: &str) -> Result<(), RawError> {
        self.retain(uuid, |spec| Ok(name != "*" && commands::name_of(spec)? != Some(name)))
    }

    /// Drops an index by key pattern.
    pub(crate) fn drop_index_by_key(&mut self, uuid: CollectionUuid, key: &[u8]) -> Result<(), RawError> {
        self.retain(uuid, |spec| Ok(raw::find(spec, "key")?.and_then(|e| e.document()) != Some(key)))
    }

    fn retain(&mut self, uuid: CollectionUuid, keep: impl Fn(&[u8]) -> Result<bool, RawError>) -> Result<(), RawError> {
        let Some(specs) = self.indexes.get_mut(&uuid) else { return Ok(()) };
        let mut kept = Vec::with_capacity(specs.len());
        for spec in specs.drain(..) {
            if keep(&spec)? {
                kept.push(spec);
            }
        }
        *specs = kept;
        Ok(())
    }

    /// Follows the `index` field of a collMod: changes of one index named by `name` or `keyPattern`.
    pub(crate) fn modify_index(&mut self, uuid: CollectionUuid, change: &[u8]) -> Result<(), RawError> {
        let name = raw::find(change, "name")?.and_then(|e| e.text());
        let key = raw::find(change, "keyPattern")?.and_then(|e| e.document());
        for spec in self.indexes.entry(uuid).or_default() {
            let by_name = name.is_some() && commands::name_of(spec)? == name;
            let by_key = name.is_none() && key.is_some() && raw::find(spec, "key")?.and_then(|e| e.document()) == key;
            if by_name || by_key {
                *spec = modified(spec, change)?;
            }
        }
        Ok(())
    }

    /// Indexes to build, by collection.
    pub(crate) fn to_build(&self) -> Vec<(CollectionUuid, String, Vec<Vec<u8>>)> {
        let built = self.indexes.iter().filter(|(_, specs)| !specs.is_empty());
        let mut out: Vec<_> =
            built.filter_map(|(uuid, specs)| Some((*uuid, self.name(*uuid)?.to_owned(), specs.clone()))).collect();
        out.sort();
        out
    }

    /// What must not be left at the end of catching up: in words.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let aside = self
            .names
            .iter()
            .filter(|(_, ns)| ns.contains(ASIDE))
            .map(|(uuid, ns)| format!("{ns} ({uuid}) was moved aside and never moved back or dropped"));
        let orphans = self.orphans.iter().map(|uuid| format!("collection {uuid} outlived its database"));
        let mut out: Vec<_> = aside.chain(orphans).collect();
        out.sort();
        out
    }

    /// Number of collections.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The operation that stores what is known of a collection, or removes it.
    pub(crate) fn operation(&self, uuid: CollectionUuid) -> Vec<u8> {
        let id = uuid.to_string();
        let Some(specs) = self.indexes.get(&uuid).or_else(|| self.names.get(&uuid).map(|_| const { &Vec::new() }))
        else {
            return batch::remove(STATE_NS, &id);
        };
        let mut writer = Writer::new(256);
        writer.text("_id", &id).begin(kind::ARRAY, "indexes");
        for (at, spec) in specs.iter().enumerate() {
            writer.document(&at.to_string(), spec);
        }
        batch::put(STATE_NS, &writer.end().bool("orphan", self.orphans.contains(&uuid)).finish())
    }
}

/// An index specification after a collMod.
fn modified(spec: &[u8], change: &[u8]) -> Result<Vec<u8>, RawError> {
    let flag = |field| raw::find(change, field).map(|found| found.map(|element| element.truthy()));
    let (hidden, unique, prepare) = (flag("hidden")?, flag("unique")?, flag("prepareUnique")?);
    let not_unique = flag("forceNonUnique")? == Some(true);
    let expire = raw::find(change, "expireAfterSeconds")?;
    let mut writer = Writer::new(spec.len() + 64);
    let mut expires = false;
    for element in raw::elements(spec)? {
        let element = element?;
        match element.key {
            b"expireAfterSeconds" => {
                expires = true;
                writer.copy(expire.as_ref().unwrap_or(&element));
            }
            b"hidden" if hidden.is_some() => {}
            b"unique" if unique.is_some() || not_unique => {}
            // An index that is unique has nothing to prepare any more.
            b"prepareUnique" if prepare.is_some() || unique == Some(true) => {}
            _ => {
                writer.copy(&element);
            }
        }
    }
    if let Some(expire) = expire.filter(|_| !expires) {
        writer.copy(&expire);
    }
    // The server leaves a flag out instead of storing false.
    for (field, on) in [("hidden", hidden), ("unique", unique), ("prepareUnique", prepare)] {
        if on == Some(true) {
            writer.bool(field, true);
        }
    }
    Ok(writer.finish())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::doc;

    use super::*;

    const A: CollectionUuid = CollectionUuid([1; 16]);
    const B: CollectionUuid = CollectionUuid([2; 16]);

    fn raw(document: &Document) -> Vec<u8> {
        document.to_vec().unwrap()
    }

    fn specs(model: &Model) -> Vec<Document> {
        stored(model).get_array("indexes").unwrap().iter().map(|spec| spec.as_document().unwrap().clone()).collect()
    }

    fn stored(model: &Model) -> Document {
        Document::from_reader(model.operation(A).as_slice()).unwrap().get_document("o").unwrap().clone()
    }

    fn loaded(indexes: &[Document]) -> Model {
        let mut model = Model::default();
        model.insert(A, "a.c".into(), false);
        let bytes: Vec<_> = indexes.iter().map(raw).collect();
        model.set_indexes(A, bytes.iter().map(Vec::as_slice)).unwrap();
        model
    }

    #[test]
    fn only_indexes_that_have_to_be_built_are_kept() {
        let model = loaded(&[
            doc! {"v": 2, "key": {"_id": 1}, "name": "_id_"},
            doc! {"key": {"_id": 1}, "name": "c", "clustered": true},
            doc! {"spec": {"name": "x"}, "buildUUID": 1},
            doc! {"v": 2, "key": {"x": 1}, "name": "x_1", "ns": "a.c", "background": true, "unique": true},
        ]);
        assert_eq!(specs(&model), vec![doc! {"v": 2, "key": {"x": 1}, "name": "x_1", "unique": true}]);
    }

    #[test]
    fn indexes_are_added_replaced_and_dropped_by_name_key_and_star() {
        let x = doc! {"v": 2, "key": {"x": 1}, "name": "x_1"};
        let y = doc! {"v": 2, "key": {"y": 1}, "name": "y_1"};
        let mut model = loaded(std::slice::from_ref(&x));
        model.add_indexes(A, vec![raw(&y), raw(&doc! {"v": 2, "key": {"x": -1}, "name": "x_1"})]).unwrap();
        assert_eq!(specs(&model), vec![y.clone(), doc! {"v": 2, "key": {"x": -1}, "name": "x_1"}]);
        model.drop_index_by_key(A, &raw(&doc! {"x": -1})).unwrap();
        assert_eq!(specs(&model), vec![y]);
        model.add_indexes(A, vec![raw(&x)]).unwrap();
        model.drop_index(A, "y_1").unwrap();
        assert_eq!(specs(&model), vec![x]);
        model.drop_index(A, "*").unwrap();
        assert!(specs(&model).is_empty());
    }

    #[test]
    fn coll_mod_changes_one_index() {
        let mut model = loaded(&[
            doc! {"v": 2, "key": {"x": 1}, "name": "x_1"},
            doc! {"v": 2, "key": {"y": 1}, "name": "y_1", "hidden": true, "expireAfterSeconds": 5},
        ]);
        model.modify_index(A, &raw(&doc! {"name": "x_1", "prepareUnique": true, "expireAfterSeconds": 7_i64})).unwrap();
        model.modify_index(A, &raw(&doc! {"keyPattern": {"y": 1}, "hidden": false, "expireAfterSeconds": 6})).unwrap();
        assert_eq!(
            specs(&model),
            vec![
                doc! {"v": 2, "key": {"x": 1}, "name": "x_1", "expireAfterSeconds": 7_i64, "prepareUnique": true},
                doc! {"v": 2, "key": {"y": 1}, "name": "y_1", "expireAfterSeconds": 6}
            ]
        );
        model.modify_index(A, &raw(&doc! {"name": "x_1", "unique": true})).unwrap();
        assert_eq!(
            specs(&model)[0],
            doc! {"v": 2, "key": {"x": 1}, "name": "x_1", "expireAfterSeconds": 7_i64, "unique": true}
        );
    }

    #[test]
    fn names_follow_renames_and_make_room() {
        let mut model = loaded(&[]);
        model.insert(B, "a.d".into(), true);
        assert_eq!(model.aside("a.c", A), None);
        let aside = model.aside("a.c", B).unwrap();
        assert_eq!((aside.uuid, aside.from.as_str()), (A, "a.c"));
        model.rename(A, aside.to);
        model.rename(B, "a.c".into());
        assert_eq!((model.uuid("a.c"), model.uuid("a.d"), model.capped(B)), (Some(B), None, true));
        assert_eq!(model.leftovers().len(), 1);
        model.remove(A);
        model.set_orphan(B, true);
        assert_eq!((model.leftovers().len(), model.of_database("a")), (1, vec![B]));
        model.set_orphan(B, false);
        assert!(model.leftovers().is_empty());
    }

    #[test]
    fn what_is_stored_restores_the_model() {
        let mut model = loaded(&[doc! {"v": 2, "key": {"x": 1}, "name": "x_1"}]);
        model.set_orphan(A, true);
        let names = [Named { uuid: A, ns: "a.c".into(), capped: false }];
        let again = Model::restore(&names, &[doc! {"_id": "phase"}, stored(&model)]).unwrap();
        assert_eq!((stored(&again), again.name(A), again.leftovers().len()), (stored(&model), Some("a.c"), 1));
        model.remove(A);
        assert_eq!(Document::from_reader(model.operation(A).as_slice()).unwrap().get_str("op").unwrap(), "d");
    }
}
