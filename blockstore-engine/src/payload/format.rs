//! Packs to the byte: header, records, list of ids, trailer. `docs/format.md` draws them.
//!
//! Invariants: a pack tells by itself what it holds (recovery reads nothing else), every byte of it is under a checksum, and decoding what
//! came from outside never panics. Pure; `packs.rs` does the I/O.

use bytes::Bytes;
use object_store::path::Path;

use crate::frame::{SUM_BYTES, Sealed};
use crate::id::{BlockId, PACKS_MAX, PayloadAt, RootId, StoreNumber};
use crate::keys::{KeyId, SEAL_BYTES};
use crate::tree::BLOCK_SIZE_MAX;

const HEADER_MAGIC: [u8; 4] = *b"HFP\x01";
const TRAILER_MAGIC: [u8; 4] = *b"HFQ\x01";
const HEADER_BYTES: usize = 32;
/// Bytes of a record before its body.
pub(crate) const RECORD_BYTES: usize = 72;
/// Bytes of an entry of the list.
pub(crate) const ENTRY_BYTES: usize = 44;
/// Bytes of the trailer.
pub(crate) const TRAILER_BYTES: usize = 64;
/// Largest pack in bytes: what a reader of whole packs holds in memory, and offsets are 32 bits.
pub(crate) const PACK_BYTES_MAX: usize = 80 << 20;
/// Folder of all packs.
pub(crate) const PACKS: &str = "packs";

/// A pack of one store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId {
    /// The registration that wrote it.
    pub writer: RootId,
    /// Its number within the registration, below 2^24.
    pub number: u32,
}

impl PackId {
    /// `packs/<registration>/<number, 6 hexadecimal digits>.pack`.
    pub(crate) fn path(self) -> Path {
        Path::from(format!("{PACKS}/{}/{:06x}.pack", self.writer, self.number))
    }

    /// From a name as `path` makes it.
    pub(crate) fn from_path(path: &str) -> Option<Self> {
        let (writer, name) = path.strip_prefix(PACKS)?.strip_prefix('/')?.split_once('/')?;
        let number = u32::from_str_radix(name.strip_suffix(".pack").filter(|digits| digits.len() == 6)?, 16).ok()?;
        let id = Self { writer: writer.parse().ok()?, number };
        (number < PACKS_MAX && id.path().as_ref() == path).then_some(id)
    }
}

/// A line of a pack's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: BlockId,
    /// Of the record, from the start of the pack.
    pub(crate) offset: u32,
    pub(crate) raw_len: u32,
    pub(crate) frame_len: u32,
}

impl Entry {
    /// Bytes of the record, if nothing is encrypted and if it is.
    pub(crate) fn record_bytes_max(&self) -> u64 {
        record_bytes_max(self.frame_len)
    }
}

/// Bytes to read for the record of a frame of this length, encrypted or not: what follows every record is longer than the difference.
pub(crate) fn record_bytes_max(frame_len: u32) -> u64 {
    const { assert!(TRAILER_BYTES + ENTRY_BYTES >= SEAL_BYTES, "a plain record is followed by more than sealing adds") };
    u64::from(frame_len) + (RECORD_BYTES + SEAL_BYTES) as u64
}

/// A pack that is being filled.
pub(crate) struct PackBuilder {
    id: PackId,
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

impl PackBuilder {
    pub(crate) fn new(id: PackId) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&HEADER_MAGIC);
        bytes.extend_from_slice(&id.writer.bytes());
        bytes.extend_from_slice(&id.number.to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        Self { id, bytes, entries: Vec::new() }
    }

    pub(crate) fn id(&self) -> PackId {
        self.id
    }

    /// Bytes so far, list and trailer included.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() + self.entries.len() * ENTRY_BYTES + TRAILER_BYTES
    }

    /// Appends a record; its place in `store`. `None` when the pack would be larger than any may be.
    pub(crate) fn push(&mut self, store: StoreNumber, sealed: &Sealed) -> Option<PayloadAt> {
        if self.len() + RECORD_BYTES + sealed.body.len() + ENTRY_BYTES > PACK_BYTES_MAX {
            return None;
        }
        let offset = u32::try_from(self.bytes.len()).ok()?;
        encode_record(sealed, &mut self.bytes);
        self.entries.push(Entry { id: sealed.id, offset, raw_len: sealed.raw_len, frame_len: sealed.frame_len });
        Some(PayloadAt::in_pack(self.id.writer, store, self.id.number, offset))
    }

    /// The whole pack.
    pub(crate) fn finish(mut self) -> Bytes {
        let list_at = self.bytes.len();
        for entry in &self.entries {
            self.bytes.extend_from_slice(&entry.id.0);
            for number in [entry.offset, entry.raw_len, entry.frame_len] {
                self.bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        let list_sum = blake3::hash(&self.bytes[list_at..]);
        let pack_sum = blake3::hash(&self.bytes);
        let narrow = |n: usize| u32::try_from(n).expect("a pack is smaller than PACK_BYTES_MAX");
        self.bytes.extend_from_slice(&TRAILER_MAGIC);
        self.bytes.extend_from_slice(&narrow(self.entries.len()).to_le_bytes());
        self.bytes.extend_from_slice(&narrow(list_at).to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&list_sum.as_bytes()[..16]);
        self.bytes.extend_from_slice(pack_sum.as_bytes());
        self.bytes.into()
    }
}

/// The last bytes of a pack, decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    /// Where the list begins; it ends where the trailer begins.
    pub(crate) list_at: u64,
    list_sum: [u8; 16],
    pack_sum: [u8; 32],
}

impl Trailer {
    /// From the last [`TRAILER_BYTES`] of a pack of `pack_len` bytes.
    pub(crate) fn decode(bytes: &[u8], pack_len: u64) -> Result<Self, &'static str> {
        let bad = "the pack has no trailer: it is torn";
        let bytes: &[u8; TRAILER_BYTES] = bytes.try_into().map_err(|_| bad)?;
        if !bytes.starts_with(&TRAILER_MAGIC) {
            return Err(bad);
        }
        let count = u64::from(number(bytes, 4).ok_or(bad)?);
        let list_at = u64::from(number(bytes, 8).ok_or(bad)?);
        let is_whole = list_at >= HEADER_BYTES as u64
            && list_at + count * ENTRY_BYTES as u64 + TRAILER_BYTES as u64 == pack_len
            && pack_len <= PACK_BYTES_MAX as u64
            && bytes[12..16] == [0; 4];
        if !is_whole {
            return Err("the pack's trailer does not fit its length");
        }
        let (mut list_sum, mut pack_sum) = ([0; 16], [0; 32]);
        list_sum.copy_from_slice(&bytes[16..32]);
        pack_sum.copy_from_slice(&bytes[32..]);
        Ok(Self { list_at, list_sum, pack_sum })
    }

    /// The list, from the bytes between `list_at` and the trailer.
    pub(crate) fn list(&self, bytes: &[u8]) -> Result<Vec<Entry>, &'static str> {
        if blake3::hash(bytes).as_bytes()[..16] != self.list_sum {
            return Err("the pack's list does not fit its checksum");
        }
        let (mut entries, mut least) = (Vec::with_capacity(bytes.len() / ENTRY_BYTES), HEADER_BYTES as u64);
        for line in bytes.chunks(ENTRY_BYTES) {
            let field = |at| number(line, at).ok_or("the pack's list is torn");
            let id = line.get(..32).and_then(BlockId::from_slice).ok_or("the pack's list is torn")?;
            let entry = Entry { id, offset: field(32)?, raw_len: field(36)?, frame_len: field(40)? };
            let end = u64::from(entry.offset) + RECORD_BYTES as u64 + u64::from(entry.frame_len);
            if u64::from(entry.offset) < least || end > self.list_at || !(1..=BLOCK_SIZE_MAX).contains(&entry.raw_len) {
                return Err("the pack's list is not canonical");
            }
            least = end;
            entries.push(entry);
        }
        Ok(entries)
    }
}

/// The list of a whole pack, all checksums verified.
pub(crate) fn decode_pack(id: PackId, pack: &[u8]) -> Result<Vec<Entry>, &'static str> {
    let (body, trailer) = pack.split_last_chunk::<TRAILER_BYTES>().ok_or("the pack is torn")?;
    let trailer = Trailer::decode(trailer, pack.len() as u64)?;
    if *blake3::hash(body).as_bytes() != trailer.pack_sum {
        return Err("the pack does not fit its checksum");
    }
    check_header(id, body)?;
    let list_at = usize::try_from(trailer.list_at).map_err(|_| "the pack is larger than memory")?;
    trailer.list(body.get(list_at..).ok_or("the pack is torn")?)
}

/// Records of a pack whose list or trailer is torn, up to the first that cannot be one: for recovery, which checks every block that it reads.
pub(crate) fn salvage(id: PackId, pack: &Bytes) -> Vec<Entry> {
    let (mut entries, mut at) = (Vec::new(), HEADER_BYTES);
    if check_header(id, pack).is_err() {
        return entries;
    }
    while at < pack.len() {
        let Ok(sealed) = decode_record(&pack.slice(at..)) else { break };
        let Ok(offset) = u32::try_from(at) else { break };
        if !(1..=BLOCK_SIZE_MAX).contains(&sealed.raw_len) {
            break;
        }
        entries.push(Entry { id: sealed.id, offset, raw_len: sealed.raw_len, frame_len: sealed.frame_len });
        at += RECORD_BYTES + sealed.body.len();
    }
    entries
}

fn check_header(id: PackId, pack: &[u8]) -> Result<(), &'static str> {
    let expected = PackBuilder::new(id).bytes;
    if pack.starts_with(&expected) { Ok(()) } else { Err("the pack is another one than its name says") }
}

/// Appends a record.
pub(crate) fn encode_record(sealed: &Sealed, out: &mut Vec<u8>) {
    out.extend_from_slice(&sealed.id.0);
    out.extend_from_slice(&sealed.raw_len.to_le_bytes());
    out.extend_from_slice(&sealed.frame_len.to_le_bytes());
    out.extend_from_slice(&sealed.sum);
    out.extend_from_slice(&sealed.key.map_or([0; 16], |key| key.0));
    out.extend_from_slice(&sealed.body);
}

/// A record, from its offset on; bytes after it are not looked at. The body is a copy when `bytes` is a slice of something larger.
pub(crate) fn decode_record(bytes: &Bytes) -> Result<Sealed, &'static str> {
    let bad = "the record is torn";
    let head = bytes.get(..RECORD_BYTES).ok_or(bad)?;
    let id = BlockId::from_slice(&head[..32]).ok_or(bad)?;
    let (raw_len, frame_len) = (number(head, 32).ok_or(bad)?, number(head, 36).ok_or(bad)?);
    let mut sum = [0; SUM_BYTES];
    sum.copy_from_slice(&head[40..56]);
    let key = KeyId::from_slice(&head[56..]).filter(|key| key.0 != [0; 16]);
    let body_len = usize::try_from(Sealed::body_len(frame_len, key)).map_err(|_| bad)?;
    let end = RECORD_BYTES.checked_add(body_len).ok_or(bad)?;
    if bytes.len() < end {
        return Err(bad);
    }
    Ok(Sealed { id, raw_len, frame_len, sum, key, body: bytes.slice(RECORD_BYTES..end) })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::frame::Packer;
    use crate::keys::{GroupKey, Keyring};
    use proptest::prelude::*;

    fn store() -> StoreNumber {
        StoreNumber::new(3).unwrap()
    }

    fn filled(raws: &[Vec<u8>], encrypted: bool) -> (PackId, Bytes, Vec<PayloadAt>, Keyring) {
        let ring = Keyring::default();
        let keys = encrypted.then(|| ring.get(ring.insert(&GroupKey::generate())).unwrap());
        let id = PackId { writer: RootId::random(), number: 5 };
        let mut builder = PackBuilder::new(id);
        let mut packer = Packer::new(1).unwrap();
        let places = raws.iter().map(|raw| {
            let block = keys.as_ref().map_or_else(|| BlockId::of(raw), |keys| keys.hasher().id(raw));
            let sealed = Sealed::new(block, raw.len(), packer.pack(raw).unwrap(), keys.as_deref()).unwrap();
            builder.push(store(), &sealed).unwrap()
        });
        let places = places.collect();
        let len = builder.len();
        let pack = builder.finish();
        assert_eq!(pack.len(), len);
        (id, pack, places, ring)
    }

    proptest! {
        #[test]
        fn packs_tell_what_they_hold(raws in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..3000), 0..20), encrypted in any::<bool>()) {
            let (id, pack, places, ring) = filled(&raws, encrypted);
            let entries = decode_pack(id, &pack).unwrap();
            prop_assert_eq!(entries.len(), raws.len());
            for ((entry, raw), at) in entries.iter().zip(&raws).zip(places) {
                prop_assert_eq!(at, PayloadAt::in_pack(id.writer, store(), 5, entry.offset));
                let from = usize::try_from(entry.offset).unwrap();
                let to = from + usize::try_from(entry.record_bytes_max()).unwrap();
                prop_assert!(to <= pack.len(), "reading what an encrypted record would have stays inside");
                let sealed = decode_record(&pack.slice(from..to)).unwrap();
                prop_assert_eq!((sealed.id, sealed.raw_len, sealed.frame_len), (entry.id, entry.raw_len, entry.frame_len));
                let (frame, _) = sealed.frame(&ring).unwrap();
                prop_assert_eq!(&zstd::decode_all(&frame[..]).unwrap(), raw);
            }
        }

        #[test]
        fn torn_and_flipped_packs_are_refused(cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bit in 0u8..8) {
            let (id, pack, ..) = filled(&[vec![1; 900], vec![2; 80]], false);
            prop_assert!(decode_pack(id, &pack[..cut.index(pack.len())]).is_err());
            let mut flipped = pack.to_vec();
            flipped[at.index(pack.len())] ^= 1 << bit;
            prop_assert!(decode_pack(id, &flipped).is_err());
            let other = PackId { number: 6, ..id };
            prop_assert!(decode_pack(other, &pack).is_err());
        }

        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), magic in any::<bool>()) {
            let mut bytes = bytes;
            let at = bytes.len().saturating_sub(TRAILER_BYTES);
            if magic && bytes.len() >= TRAILER_BYTES {
                bytes[at..at + 4].copy_from_slice(&TRAILER_MAGIC);
            }
            let _ = decode_pack(PackId { writer: RootId::random(), number: 0 }, &bytes);
            if let Ok(trailer) = Trailer::decode(&bytes[at..], bytes.len() as u64) {
                let _ = trailer.list(&bytes);
            }
            let _ = decode_record(&bytes.into());
        }
    }

    #[test]
    fn what_is_before_a_tear_is_salvaged() {
        let (id, pack, places, _) = filled(&[vec![1; 900], (0..80).collect(), vec![3; 70]], true);
        let torn = pack.slice(..pack.len() - TRAILER_BYTES - 3 * ENTRY_BYTES - 1);
        let found = salvage(id, &torn);
        assert_eq!(found, decode_pack(id, &pack).unwrap()[..2]);
        assert_eq!(PayloadAt::in_pack(id.writer, store(), id.number, found[1].offset), places[1]);
        assert!(salvage(PackId { number: 9, ..id }, &torn).is_empty());
    }

    #[test]
    fn names_survive_and_others_are_none() {
        let id = PackId { writer: "0123456789abcdef01234567".parse().unwrap(), number: 255 };
        assert_eq!(id.path().as_ref(), "packs/0123456789abcdef01234567/0000ff.pack");
        assert_eq!(PackId::from_path(id.path().as_ref()), Some(id));
        for name in [
            "packs/x/0000ff.pack",
            "packs/0123456789abcdef01234567/ff.pack",
            "roots/a",
            "packs/0123456789abcdef01234567/0000FF.pack",
        ] {
            assert_eq!(PackId::from_path(name), None, "{name}");
        }
    }

    #[test]
    fn the_format_is_fixed_to_the_byte() {
        let mut builder = PackBuilder::new(PackId { writer: "0123456789abcdef01234567".parse().unwrap(), number: 1 });
        let sealed = Sealed {
            id: BlockId([9; 32]),
            raw_len: 3,
            frame_len: 2,
            sum: [8; 16],
            key: None,
            body: Bytes::from_static(b"zz"),
        };
        builder.push(store(), &sealed).unwrap();
        let pack = hex::encode(builder.finish());
        let header = format!("48465001{}01000000{}", "0123456789abcdef01234567", "00".repeat(12));
        let record = format!("{}0300000002000000{}{}7a7a", "09".repeat(32), "08".repeat(16), "00".repeat(16));
        let list = format!("{}200000000300000002000000", "09".repeat(32));
        assert!(pack.starts_with(&format!("{header}{record}{list}48465101010000006a00000000000000")), "{pack}");
    }
}
