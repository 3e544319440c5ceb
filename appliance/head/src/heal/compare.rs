//! Compares two catalogs. Pure.

use std::{collections::BTreeMap, fmt};

use super::super::{
    catalog::{Catalog, CatalogCollection},
    raw,
};

/// One difference between the catalogs of the source and the head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `database.collection`, as the source names it where it has it.
    pub ns: String,
    /// What differs, in words.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.ns, self.what)
    }
}

/// Fields of options that are not compared. `temp` is not kept by a head (see `translate::commands::create`).
const OPTIONS_LEFT_OUT: [&str; 2] = ["temp", "uuid"];
/// Fields of index specifications that are not compared: old servers listed the namespace.
const INDEX_LEFT_OUT: [&str; 1] = ["ns"];

/// Top-level fields in any order, each with its type and exact bytes: inside a field the order matters.
type Fields<'a> = BTreeMap<&'a [u8], (u8, &'a [u8])>;

fn fields<'a>(document: &'a [u8], left_out: &[&str]) -> Fields<'a> {
    raw::elements(document)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|element| !left_out.iter().any(|field| field.as_bytes() == element.key))
        .map(|element| (element.key, (element.kind, element.value)))
        .collect()
}

fn shown(document: &bson::RawDocumentBuf) -> String {
    bson::Document::try_from(document.as_ref()).map_or_else(|error| error.to_string(), |document| document.to_string())
}

/// Key of a collection: its UUID; a view has only its name.
fn key(collection: &CatalogCollection) -> String {
    collection.uuid.map_or_else(|| format!("{}.{}", collection.db, collection.name), |uuid| uuid.to_string())
}

fn by_key(catalog: &Catalog) -> BTreeMap<String, &CatalogCollection> {
    let compared = |c: &&CatalogCollection| !matches!(c.db.as_str(), "local" | "config") && c.name != "system.profile";
    catalog.collections.iter().filter(compared).map(|c| (key(c), c)).collect()
}

/// All differences, ordered by namespace; empty when the head equals the source.
#[must_use]
pub fn compare(source: &Catalog, head: &Catalog) -> Vec<Difference> {
    let (ours, theirs) = (by_key(head), by_key(source));
    let mut out = Vec::new();
    for (key, source) in &theirs {
        let ns = format!("{}.{}", source.db, source.name);
        let mut differs = |what: String| out.push(Difference { ns: ns.clone(), what });
        let Some(head) = ours.get(key) else {
            differs(format!("{} {key} is missing on the head", source.kind));
            continue;
        };
        if (&source.db, &source.name) != (&head.db, &head.name) {
            differs(format!("is {}.{} on the head", head.db, head.name));
        }
        if source.kind != head.kind {
            differs(format!("is a {}, on the head a {}", source.kind, head.kind));
        }
        if fields(source.options.as_bytes(), &OPTIONS_LEFT_OUT) != fields(head.options.as_bytes(), &OPTIONS_LEFT_OUT) {
            differs(format!("options {}, on the head {}", shown(&source.options), shown(&head.options)));
        }
        indexes(source, head, &mut differs);
    }
    for (key, head) in ours.iter().filter(|(key, _)| !theirs.contains_key(*key)) {
        out.push(Difference {
            ns: format!("{}.{}", head.db, head.name),
            what: format!("{} {key} is only on the head", head.kind),
        });
    }
    out.sort_by(|a, b| a.ns.cmp(&b.ns));
    out
}

fn indexes(source: &CatalogCollection, head: &CatalogCollection, differs: &mut impl FnMut(String)) {
    let named = |collection: &'_ CatalogCollection| -> BTreeMap<String, bson::RawDocumentBuf> {
        collection
            .indexes
            .iter()
            .map(|spec| (spec.get_str("name").unwrap_or_default().to_owned(), spec.clone()))
            .collect()
    };
    let (theirs, ours) = (named(source), named(head));
    for (name, spec) in &theirs {
        match ours.get(name) {
            None => differs(format!("index {name} is missing on the head")),
            Some(own) if fields(spec.as_bytes(), &INDEX_LEFT_OUT) != fields(own.as_bytes(), &INDEX_LEFT_OUT) => {
                differs(format!("index {}, on the head {}", shown(spec), shown(own)));
            }
            Some(_) => {}
        }
    }
    for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
        differs(format!("index {name} is only on the head"));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use bson::{RawDocumentBuf, doc};

    use super::{super::super::uuid::CollectionUuid, *};

    fn raw(document: bson::Document) -> RawDocumentBuf {
        RawDocumentBuf::try_from(&document).unwrap()
    }

    fn collection(uuid: u8, name: &str, options: bson::Document, indexes: Vec<bson::Document>) -> CatalogCollection {
        CatalogCollection {
            db: "a".into(),
            name: name.into(),
            kind: "collection".into(),
            uuid: Some(CollectionUuid([uuid; 16])),
            options: raw(options),
            indexes: indexes.into_iter().map(raw).collect(),
        }
    }

    fn said(source: Vec<CatalogCollection>, head: Vec<CatalogCollection>) -> Vec<String> {
        compare(&Catalog { collections: source }, &Catalog { collections: head })
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn equal_catalogs_have_no_difference_whatever_the_order_of_fields() {
        let a = collection(
            1,
            "c",
            doc! {"capped": true, "size": 5, "temp": true},
            vec![doc! {"v": 2, "key": {"a": 1}, "name": "a_1"}],
        );
        let b = collection(
            1,
            "c",
            doc! {"size": 5, "capped": true},
            vec![doc! {"key": {"a": 1}, "name": "a_1", "v": 2, "ns": "a.c"}],
        );
        assert!(said(vec![a], vec![b]).is_empty());
    }

    #[test]
    fn every_difference_is_said() {
        let spec = |key: bson::Document| doc! {"v": 2, "key": key, "name": "x"};
        let source = vec![
            collection(1, "c", doc! {"size": 5}, vec![spec(doc! {"a": 1, "b": 1})]),
            collection(2, "renamed", doc! {}, vec![doc! {"name": "gone"}]),
            collection(3, "missing", doc! {}, vec![]),
        ];
        let head = vec![
            collection(1, "c", doc! {"size": 5_i64}, vec![spec(doc! {"b": 1, "a": 1})]),
            collection(2, "old", doc! {}, vec![doc! {"name": "new"}]),
            collection(4, "extra", doc! {}, vec![]),
        ];
        let said = said(source, head);
        assert_eq!(said.len(), 7, "{said:#?}");
        for part in [
            "a.c: options",
            "a.c: index",
            "a.renamed: is a.old",
            "index gone is missing",
            "index new is only",
            "a.missing: collection",
            "a.extra: collection",
        ] {
            assert!(said.iter().any(|s| s.contains(part)), "{part} in {said:#?}");
        }
    }
}
