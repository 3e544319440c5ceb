//! One operation of an oplog entry: an insert, update, delete or command, with the fields that a head keeps.

use super::super::{
    error::EntryError,
    raw::{self, Element, Writer},
    uuid::CollectionUuid,
};

/// A command of the oplog that a head follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Create,
    Drop,
    DropDatabase,
    Rename,
    CollMod,
    DropIndexes,
    EmptyCapped,
    ConvertToCapped,
    CreateIndexes,
    CommitIndexBuild,
    StartIndexBuild,
    AbortIndexBuild,
}

impl Command {
    /// The command with this name; None for one that is to be refused.
    fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"create" => Self::Create,
            b"drop" => Self::Drop,
            b"dropDatabase" => Self::DropDatabase,
            b"renameCollection" => Self::Rename,
            b"collMod" => Self::CollMod,
            b"dropIndexes" | b"dropIndex" | b"deleteIndexes" | b"deleteIndex" => Self::DropIndexes,
            b"emptycapped" => Self::EmptyCapped,
            b"convertToCapped" => Self::ConvertToCapped,
            b"createIndexes" => Self::CreateIndexes,
            b"commitIndexBuild" => Self::CommitIndexBuild,
            b"startIndexBuild" => Self::StartIndexBuild,
            b"abortIndexBuild" => Self::AbortIndexBuild,
            _ => return None,
        })
    }
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OpKind {
    Insert,
    Update,
    Delete,
    Command(Command),
    /// `n`, and commands that change no data.
    Nothing,
    /// applyOps inside applyOps.
    Nested,
}

impl OpKind {
    fn letter(self) -> &'static str {
        match self {
            Self::Insert => "i",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Command(_) | Self::Nested => "c",
            Self::Nothing => "n",
        }
    }
}

/// One operation, borrowed from the entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op<'a> {
    pub(crate) kind: OpKind,
    /// Namespace; `db.$cmd` for commands.
    pub(crate) ns: &'a str,
    pub(crate) ui: Option<CollectionUuid>,
    /// Document, change or command.
    pub(crate) o: &'a [u8],
    /// Which document; what was there before.
    pub(crate) o2: Option<&'a [u8]>,
    /// Upsert.
    pub(crate) b: Option<bool>,
}

/// An operation that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OpError {
    Entry(EntryError),
    Unknown { ns: String, what: String },
}

impl From<EntryError> for OpError {
    fn from(error: EntryError) -> Self {
        Self::Entry(error)
    }
}

impl From<raw::RawError> for OpError {
    fn from(error: raw::RawError) -> Self {
        Self::Entry(error.into())
    }
}

/// A command and its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NamedCommand<'a> {
    /// The whole command.
    pub(crate) o: &'a [u8],
    /// Name of its first field.
    pub(crate) name: &'a [u8],
}

/// Collects the fields of an operation while a document is walked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    op: Option<&'a str>,
    ns: Option<&'a str>,
    ui: Option<CollectionUuid>,
    o: Option<&'a [u8]>,
    o2: Option<&'a [u8]>,
    b: Option<bool>,
    rid: bool,
}

impl<'a> Fields<'a> {
    /// Takes a field if it is one of an operation; says whether it was.
    pub(crate) fn take(&mut self, element: &Element<'a>) -> bool {
        match element.key {
            b"op" => self.op = element.text(),
            b"ns" => self.ns = element.text(),
            b"ui" => self.ui = element.uuid().map(CollectionUuid),
            b"o" => self.o = element.document(),
            b"o2" => self.o2 = element.document(),
            b"b" => self.b = Some(element.truthy()),
            b"rid" => self.rid = true,
            _ => return false,
        }
        true
    }

    /// `o` and name of a command; None for other operations.
    pub(crate) fn command(&self) -> Result<Option<NamedCommand<'a>>, EntryError> {
        if self.op != Some("c") {
            return Ok(None);
        }
        let o = self.o.ok_or(EntryError::Field("o"))?;
        let first = raw::elements(o)?.next().ok_or(EntryError::Field("o of a command"))??;
        Ok(Some(NamedCommand { o, name: first.key }))
    }

    /// The operation, classified.
    pub(crate) fn op(self) -> Result<Op<'a>, OpError> {
        let letter = self.op.ok_or(EntryError::Field("op"))?;
        let ns = self.ns.ok_or(EntryError::Field("ns"))?;
        let o = self.o.ok_or(EntryError::Field("o"))?;
        let unknown = |what: String| OpError::Unknown { ns: ns.to_owned(), what };
        if self.rid {
            return Err(unknown("a replicated record id (rid), which only servers newer than 6.0 write".into()));
        }
        let kind = match letter {
            "i" => OpKind::Insert,
            "u" => OpKind::Update,
            "d" => OpKind::Delete,
            "n" => OpKind::Nothing,
            "c" => {
                let first = raw::elements(o)?.next().ok_or(EntryError::Field("o of a command"))??;
                match first.key {
                    b"applyOps" => OpKind::Nested,
                    // Reads data and logs a checksum; transactions' ends are read before an entry becomes an operation.
                    b"dbCheck" => OpKind::Nothing,
                    name => OpKind::Command(Command::of(name).ok_or_else(|| {
                        unknown(format!(
                            "the command {:?}",
                            String::from_utf8_lossy(name.get(..name.len().min(64)).unwrap_or(name))
                        ))
                    })?),
                }
            }
            other => {
                return Err(unknown(format!("the operation type {:?}", other.chars().take(16).collect::<String>())));
            }
        };
        if matches!(kind, OpKind::Update | OpKind::Delete) {
            // Without it there is no telling which document: `o2` for updates, `o` for deletes (checked by the server).
            if kind == OpKind::Update && self.o2.is_none() {
                return Err(EntryError::Field("o2 of an update").into());
            }
        }
        Ok(Op { kind, ns, ui: self.ui, o, o2: self.o2, b: self.b })
    }
}

impl<'a> Op<'a> {
    /// Reads an inner operation of applyOps, or one that [`Op::encode`] wrote.
    pub(crate) fn parse(document: &'a [u8]) -> Result<Self, OpError> {
        let mut fields = Fields::default();
        for element in raw::elements(document)? {
            fields.take(&element?);
        }
        fields.op()
    }

    /// Database part of the namespace.
    pub(crate) fn db(&self) -> &'a str {
        self.ns.split_once('.').map_or(self.ns, |(db, _)| db)
    }

    /// Collection part of the namespace.
    pub(crate) fn collection(&self) -> &'a str {
        self.ns.split_once('.').map_or("", |(_, collection)| collection)
    }

    /// Whether it belongs to the server that wrote it and not to the data: `local`, and `config`, which holds sessions,
    /// images and routing of the source.
    pub(crate) fn is_private(&self) -> bool {
        matches!(self.db(), "local" | "config")
    }

    /// Whether it changes what the server keeps in memory of views or of its own version, and must be a command alone.
    pub(crate) fn must_be_alone(&self) -> bool {
        self.collection() == "system.views" || self.ns == "admin.system.version"
    }

    /// First field of a command: its name and the collection it names.
    pub(crate) fn command_target(&self) -> Option<&'a str> {
        raw::elements(self.o).ok()?.next()?.ok()?.text()
    }

    /// The fields that a head keeps, with the namespace and the `o` given.
    pub(crate) fn encode_with(&self, ns: &str, o: &[u8]) -> Vec<u8> {
        let mut writer = Writer::new(o.len() + self.o2.map_or(0, <[u8]>::len) + ns.len() + 80);
        writer.text("op", self.kind.letter()).text("ns", ns);
        if let Some(ui) = self.ui {
            writer.uuid("ui", ui.0);
        }
        writer.document("o", o);
        if let Some(o2) = self.o2 {
            writer.document("o2", o2);
        }
        if let Some(b) = self.b {
            writer.bool("b", b);
        }
        writer.finish()
    }

    /// The fields that a head keeps.
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_with(self.ns, self.o)
    }
}
