//! The initial sync of one chain in memory.

use std::collections::HashMap;

use bson::RawDocumentBuf;
use holdfast_agent_api::{
    CompleteSync, EndScan, ScanGrant, ScanState, ScanTail, StartScan, SyncSliceHeader, SyncState,
};
use holdfast_domain::Hash32;

use super::ledger::split;

pub struct Scan {
    pub start: StartScan,
    pub number: i64,
    pub slices: Vec<(SyncSliceHeader, Vec<u8>)>,
    pub ended: bool,
    pub gone: bool,
}

impl Scan {
    fn tail(&self) -> ScanTail {
        let token = self.slices.last().and_then(|(header, _)| header.token.clone());
        ScanTail { next_seq: self.slices.len() as i64, token }
    }

    pub fn documents(&self) -> Vec<RawDocumentBuf> {
        self.slices.iter().flat_map(|(_, raw)| split(raw)).collect()
    }
}

#[derive(Default)]
pub struct Sync {
    pub scans: HashMap<String, Scan>,
    pub complete: Option<CompleteSync>,
    /// Every grant, as (uuid, number).
    pub grants: Vec<(String, i64)>,
}

impl Sync {
    pub fn state(&self) -> SyncState {
        let scans = self.scans.values().map(|s| ScanState {
            uuid: s.start.uuid.clone(),
            db: s.start.db.clone(),
            name: s.start.name.clone(),
            scan: s.number,
            member: s.start.member.clone(),
            tail: s.tail(),
            ended: s.ended,
            gone: s.gone,
        });
        SyncState {
            scans: scans.collect(),
            end: self.complete.as_ref().map(|c| c.end),
            complete: self.complete.is_some(),
        }
    }

    pub fn start(&mut self, start: StartScan) -> ScanGrant {
        assert!(self.complete.is_none());
        let known = self.scans.get(&start.uuid);
        if let Some(scan) = known.filter(|s| !start.anew && s.start.member == start.member && !s.ended) {
            let grant = ScanGrant { scan: scan.number, tail: scan.tail() };
            self.grants.push((start.uuid.clone(), grant.scan));
            return grant;
        }
        let number = known.map_or(0, |s| s.number + 1);
        self.grants.push((start.uuid.clone(), number));
        let scan = Scan { start, number, slices: Vec::new(), ended: false, gone: false };
        self.scans.insert(scan.start.uuid.clone(), scan);
        ScanGrant { scan: number, tail: ScanTail::default() }
    }

    pub fn put(
        &mut self,
        uuid: &str,
        number: i64,
        seq: i64,
        header: SyncSliceHeader,
        raw: Vec<u8>,
    ) -> Result<(), ScanTail> {
        assert_eq!(Hash32::of(&raw), header.hash);
        assert_eq!((raw.len() as i64, split(&raw).len() as i64), (header.raw_bytes, header.documents));
        let scan = self.scans.get_mut(uuid).expect("a slice of a scan that was started");
        assert_eq!(scan.number, number, "a slice of an old scan");
        match scan.slices.get(seq as usize) {
            Some((known, _)) if *known == header => Ok(()),
            None if seq == scan.slices.len() as i64 && !scan.ended => {
                scan.slices.push((header, raw));
                Ok(())
            }
            _ => Err(scan.tail()),
        }
    }

    pub fn end(&mut self, uuid: &str, number: i64, end: &EndScan) {
        let scan = self.scans.get_mut(uuid).expect("the end of a scan that was started");
        assert_eq!(scan.number, number);
        assert!(end.gone || end.slices == scan.slices.len() as i64, "{end:?} of {}", scan.slices.len());
        (scan.ended, scan.gone) = (true, end.gone);
    }

    pub fn complete(&mut self, complete: CompleteSync) {
        assert!(self.scans.values().all(|s| s.ended));
        assert_eq!(self.scans.values().filter(|s| !s.gone).count() as i64, complete.collections);
        self.complete = Some(complete);
    }
}
