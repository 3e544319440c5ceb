//! Which daemon suits a job best. Pure, so that the choice can be tested and shown.

use holdfast_domain::DaemonId;

/// A head needs more room than the source's files: indexes are built at the end, the journal and a checkpoint come on top. In percent of
/// the source's files.
const HEAD_BYTES_PERCENT: u64 = 125;
/// And this much besides: journal and files of an empty dbpath.
const HEAD_BYTES_FIXED: u64 = 300 << 20;

/// A daemon as its document shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: DaemonId,
    /// Its name, for sentences.
    pub name: String,
    /// Its labels.
    pub labels: Vec<String>,
    /// Bytes free for heads.
    pub free_bytes: u64,
    /// Bytes of heads that were given to it and are not on its disk yet.
    pub promised_bytes: u64,
    /// Jobs bound to it.
    pub jobs: usize,
    /// Release lines that it has a mongod for, `6.0`.
    pub release_lines: Vec<String>,
    /// An operator empties it: it takes no job.
    pub draining: bool,
}

/// What a job asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Labels that a daemon must all have.
    pub labels: Vec<String>,
    /// Bytes of the source's files; 0 when not known.
    pub source_bytes: u64,
    /// Release line of the source, `6.0`; empty when not known.
    pub release_line: String,
}

impl Need {
    /// Room that the head will take, in bytes.
    #[must_use]
    pub const fn head_bytes(&self) -> u64 {
        self.source_bytes / 100 * HEAD_BYTES_PERCENT + HEAD_BYTES_FIXED
    }
}

/// The daemon for a job: it has the labels, the release and the room; of those the one with the fewest jobs, then the most room.
///
/// # Errors
/// A sentence that says what is missing, for the job's last error.
pub fn choose<'a>(need: &Need, candidates: &'a [Candidate]) -> Result<&'a Candidate, String> {
    if candidates.is_empty() {
        return Err("no daemon is running: start one".to_owned());
    }
    let open: Vec<_> = candidates.iter().filter(|c| !c.draining).collect();
    if open.is_empty() {
        return Err(
            "every other daemon that runs is being emptied: start one, or take the drain of one back".to_owned()
        );
    }
    let labelled: Vec<_> =
        open.into_iter().filter(|c| need.labels.iter().all(|label| c.labels.contains(label))).collect();
    if labelled.is_empty() {
        return Err(format!("no running daemon has the labels {}", need.labels.join(", ")));
    }
    let able: Vec<_> = labelled
        .into_iter()
        .filter(|c| need.release_line.is_empty() || c.release_lines.contains(&need.release_line))
        .collect();
    if able.is_empty() {
        return Err(format!("no fitting daemon has a mongod {}: add one to its mongod folder", need.release_line));
    }
    let left = |c: &Candidate| c.free_bytes.saturating_sub(c.promised_bytes);
    let most = able.iter().map(|c| left(c)).max().unwrap_or(0);
    able.into_iter()
        .filter(|c| left(c) >= need.head_bytes())
        .min_by_key(|c| (c.jobs, std::cmp::Reverse(left(c)), &c.id))
        .ok_or_else(|| {
            format!(
                "no fitting daemon has room for this head: {} MB are needed, {} MB are free",
                need.head_bytes() >> 20,
                most >> 20
            )
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const GB: u64 = 1 << 30;

    fn daemon(name: &str, labels: &[&str], free_bytes: u64, jobs: usize) -> Candidate {
        Candidate {
            id: DaemonId::random(),
            name: name.into(),
            labels: labels.iter().map(ToString::to_string).collect(),
            free_bytes,
            promised_bytes: 0,
            jobs,
            release_lines: vec!["6.0".into()],
            draining: false,
        }
    }

    #[test]
    fn a_daemon_that_is_emptied_takes_no_job() {
        let mut all = [daemon("idle", &[], 50 * GB, 0), daemon("busy", &[], 50 * GB, 7)];
        all[0].draining = true;
        assert_eq!(choose(&need(&[], GB), &all).unwrap().name, "busy");
        all[1].draining = true;
        assert!(choose(&need(&[], GB), &all).unwrap_err().contains("being emptied"));
    }

    fn need(labels: &[&str], source_bytes: u64) -> Need {
        Need { labels: labels.iter().map(ToString::to_string).collect(), source_bytes, release_line: "6.0".into() }
    }

    #[test]
    fn labels_room_and_load_decide() {
        let mut all = [daemon("small", &["ssd"], 5 * GB, 0), daemon("big", &["hdd", "eu"], 100 * GB, 3)];
        let name = |need: &Need, all: &[Candidate]| choose(need, all).map(|c| c.name.clone());
        assert_eq!(name(&need(&[], GB), &all).unwrap(), "small", "fewest jobs");
        assert_eq!(name(&need(&[], 20 * GB), &all).unwrap(), "big", "only it has the room");
        assert_eq!(name(&need(&["eu"], GB), &all).unwrap(), "big");
        assert!(name(&need(&["eu", "ssd"], GB), &all).unwrap_err().contains("eu, ssd"));
        assert!(name(&need(&[], 200 * GB), &all).unwrap_err().contains("room"));
        all[0].promised_bytes = 4 * GB;
        assert_eq!(name(&need(&[], GB), &all).unwrap(), "big", "the room of the small one is promised");
        let other = Need { release_line: "7.0".into(), ..need(&[], GB) };
        assert!(name(&other, &all).unwrap_err().contains("mongod 7.0"));
        assert!(name(&need(&[], GB), &[]).unwrap_err().contains("no daemon"));
    }

    #[test]
    fn of_equal_load_the_one_with_more_room() {
        let all = [daemon("a", &[], 50 * GB, 1), daemon("b", &[], 60 * GB, 1)];
        assert_eq!(choose(&need(&[], GB), &all).unwrap().name, "b");
    }
}
