//! What has to be read out of commands, or changed in them, before a head can follow them.

use super::{
    super::{
        error::EntryError,
        raw::{self, RawError, Writer},
    },
    op::{Command, Op, OpKind},
};

/// Index specifications of createIndexes or commitIndexBuild as the `createIndexes` command takes them: without `ns` and
/// `background`, which it refuses or which mean nothing any more.
pub(crate) fn index_specs(op: &Op<'_>) -> Result<Vec<Vec<u8>>, EntryError> {
    let strip = |fields: raw::Elements<'_>, skip_first: bool| -> Result<Vec<u8>, RawError> {
        let mut writer = Writer::new(256);
        for (at, element) in fields.enumerate() {
            let element = element?;
            if !(skip_first && at == 0 || matches!(element.key, b"ns" | b"background")) {
                writer.copy(&element);
            }
        }
        Ok(writer.finish())
    };
    if op.kind == OpKind::Command(Command::CreateIndexes) {
        return Ok(vec![strip(raw::elements(op.o)?, true)?]);
    }
    listed(op)?.into_iter().map(|spec| Ok(strip(raw::elements(spec)?, false)?)).collect()
}

/// The documents of a command's field `indexes`.
fn listed<'a>(op: &Op<'a>) -> Result<Vec<&'a [u8]>, EntryError> {
    let array = raw::find(op.o, "indexes")?.and_then(|e| e.array()).ok_or(EntryError::Field("indexes"))?;
    raw::elements(array)?.map(|spec| spec?.document().ok_or(EntryError::Field("index specification"))).collect()
}

/// Names of the indexes of startIndexBuild, commitIndexBuild or abortIndexBuild.
pub(crate) fn index_names<'a>(op: &Op<'a>) -> Result<Vec<&'a str>, EntryError> {
    listed(op)?.into_iter().map(|spec| name_of(spec)?.ok_or(EntryError::Field("name of an index"))).collect()
}

/// Name of an index specification.
pub(crate) fn name_of(spec: &[u8]) -> Result<Option<&str>, RawError> {
    Ok(raw::find(spec, "name")?.and_then(|e| e.text()))
}

/// A copy of a document without some fields.
pub(crate) fn without(document: &[u8], fields: &[&str]) -> Result<Vec<u8>, RawError> {
    let mut writer = Writer::new(document.len());
    for element in raw::elements(document)? {
        let element = element?;
        if !fields.iter().any(|field| element.key == field.as_bytes()) {
            writer.copy(&element);
        }
    }
    Ok(writer.finish())
}

/// `o` of a create. Without `temp`: a standalone drops temporary collections when it starts, a member of a set does not, so
/// a head that stops within an `$out` would lose one. The collection's last rename clears the flag on the source anyway.
pub(crate) fn create(o: &[u8]) -> Result<Vec<u8>, RawError> {
    without(o, &["temp"])
}

/// `o` of a command that names its collection in its first field, for a collection of another name.
pub(crate) fn retarget(o: &[u8], target: &str) -> Result<Vec<u8>, RawError> {
    let mut writer = Writer::new(o.len() + target.len());
    for (at, element) in raw::elements(o)?.enumerate() {
        let element = element?;
        match str::from_utf8(element.key) {
            Ok(key) if at == 0 => writer.text(key, target),
            _ => writer.copy(&element),
        };
    }
    Ok(writer.finish())
}

/// An operation of applyOps that drops an index by name. What is missing is no error to the server.
pub(crate) fn drop_index(op: &Op<'_>, collection: &str, index: &str) -> Vec<u8> {
    let o = Writer::new(64).text("dropIndexes", collection).text("index", index).finish();
    Op { kind: OpKind::Command(Command::DropIndexes), o2: None, b: None, ..*op }.encode_with(op.ns, &o)
}

/// The highest feature compatibility version that an operation on admin.system.version sets.
pub(crate) fn version_set(op: &Op<'_>) -> Result<Option<(u32, u32)>, RawError> {
    if op.ns != "admin.system.version" || !matches!(op.kind, OpKind::Insert | OpKind::Update) {
        return Ok(None);
    }
    let mut highest = None;
    let mut look = |document: &[u8]| -> Result<(), RawError> {
        for key in ["version", "targetVersion"] {
            let found = raw::find(document, key)?.and_then(|e| e.text()).and_then(|text| {
                let (major, minor) = text.split_once('.')?;
                Some((major.parse().ok()?, minor.parse().ok()?))
            });
            highest = highest.max(found);
        }
        Ok(())
    };
    look(op.o)?;
    for change in ["$set", "diff"] {
        let Some(change) = raw::find(op.o, change)?.and_then(|e| e.document()) else { continue };
        look(change)?;
        for part in ["u", "i"] {
            if let Some(part) = raw::find(change, part)?.and_then(|e| e.document()) {
                look(part)?;
            }
        }
    }
    Ok(highest)
}
