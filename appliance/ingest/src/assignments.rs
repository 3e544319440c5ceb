//! Which agent serves a backup job, when nobody does or the one that did is gone.
//!
//! An assignment is {agent, epoch, beat}; its agent proves life by asking for its configuration, which raises the beat. A watcher in every
//! instance reads all assignments every few seconds and counts, by its own monotonic clock over unbroken successful reads, how
//! long each beat stayed the same. Only an agent that asks just now may be given a job: so nobody is chosen who is gone too. The change is
//! a compare-and-set on the epoch, so that two instances that choose at once choose one. No wall clock is read here.
//!
//! An unassigned job goes to the agent that found its deployment; to any other one when that one did not come for a while.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use holdfast_domain::{AgentId, BackupJobId, Lease, LeaseWatch};

/// An agent that did not ask for this long is gone: twice the longest time that a request for configuration is held, in seconds.
pub(crate) const ASSIGNMENT_SECONDS: u64 = 60;
/// How often assignments are read: three times within a third of the lease.
pub(crate) const READ_EVERY: Duration = Duration::from_secs(5);
/// How long an unassigned job waits for the agent that found its deployment.
const FINDER_WAIT: Duration = Duration::from_secs(20);

/// What a watcher needs to know of a job.
#[derive(Clone, Debug)]
pub(crate) struct Assigned {
    /// Job.
    pub(crate) job: BackupJobId,
    /// Agent; None: nobody.
    pub(crate) agent: Option<AgentId>,
    /// Epoch of the assignment.
    pub(crate) epoch: i64,
    /// Beat.
    pub(crate) beat: i64,
}

#[derive(Debug)]
struct Watched {
    watch: LeaseWatch,
    lapsed_epoch: Option<i64>,
    unassigned_since: Option<Duration>,
}

/// The watcher's memory.
#[derive(Debug)]
pub(crate) struct Assignments {
    start: Instant,
    length: Duration,
    jobs: Mutex<HashMap<BackupJobId, Watched>>,
}

impl Assignments {
    pub(crate) fn new(length: Duration) -> Self {
        Self { start: Instant::now(), length, jobs: Mutex::new(HashMap::new()) }
    }

    /// Length of an assignment's lease.
    pub(crate) fn length(&self) -> Duration {
        self.length
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<BackupJobId, Watched>> {
        // The map is whole between any two statements that can panic.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A successful read of all running jobs.
    pub(crate) fn read(&self, found: &[Assigned]) {
        self.read_at(self.start.elapsed(), found);
    }

    fn read_at(&self, now: Duration, found: &[Assigned]) {
        let mut jobs = self.jobs();
        let present: HashSet<&BackupJobId> = found.iter().map(|f| &f.job).collect();
        jobs.retain(|job, _| present.contains(job));
        for one in found {
            let watched = jobs.entry(one.job.clone()).or_insert_with(|| Watched {
                watch: LeaseWatch::new(self.length),
                lapsed_epoch: None,
                unassigned_since: None,
            });
            match &one.agent {
                Some(agent) => {
                    watched.unassigned_since = None;
                    let lease = Lease { owner: agent.to_string(), epoch: one.epoch, beat: one.beat };
                    watched.lapsed_epoch = watched.watch.read(now, &lease).then_some(one.epoch);
                }
                None => {
                    watched.lapsed_epoch = None;
                    watched.unassigned_since.get_or_insert(now);
                }
            }
        }
    }

    /// A read failed: every count starts again.
    pub(crate) fn failed(&self) {
        for watched in self.jobs().values_mut() {
            watched.watch.failed();
            watched.lapsed_epoch = None;
        }
    }

    /// May `agent`, which asks just now, take this job? `finder`: the agent that found the deployment.
    pub(crate) fn may_take(&self, agent: &AgentId, finder: Option<&AgentId>, job: &Assigned) -> bool {
        self.may_take_at(self.start.elapsed(), agent, finder, job)
    }

    fn may_take_at(&self, now: Duration, agent: &AgentId, finder: Option<&AgentId>, job: &Assigned) -> bool {
        if job.agent.as_ref() == Some(agent) {
            return false;
        }
        let jobs = self.jobs();
        let watched = jobs.get(&job.job);
        match &job.agent {
            Some(_) => watched.is_some_and(|w| w.lapsed_epoch == Some(job.epoch)),
            None => {
                let waited = watched.and_then(|w| w.unassigned_since).is_some_and(|since| now - since >= FINDER_WAIT);
                waited || finder.is_none_or(|finder| finder == agent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_unassigned_job_waits_for_its_finder() {
        let all = Assignments::new(at(60));
        let (finder, other) = (AgentId::random(), AgentId::random());
        let job = Assigned { job: BackupJobId::random(), agent: None, epoch: 0, beat: 0 };
        assert!(all.may_take_at(at(0), &finder, Some(&finder), &job), "the finder, at once");
        assert!(all.may_take_at(at(0), &other, None, &job), "nobody found it");
        all.read_at(at(0), std::slice::from_ref(&job));
        assert!(!all.may_take_at(at(19), &other, Some(&finder), &job));
        assert!(all.may_take_at(at(20), &other, Some(&finder), &job), "the finder did not come");
    }

    #[test]
    fn a_standby_takes_over_only_after_a_whole_lease_without_a_beat() {
        let all = Assignments::new(at(60));
        let (owner, standby) = (AgentId::random(), AgentId::random());
        let mut job = Assigned { job: BackupJobId::random(), agent: Some(owner.clone()), epoch: 3, beat: 7 };
        let mut now = 0;
        let mut pass = |job: &Assigned, seconds: u64| {
            for _ in 0..seconds / 5 {
                now += 5;
                all.read_at(at(now), std::slice::from_ref(job));
            }
            all.may_take_at(at(now), &standby, None, job)
        };
        assert!(!pass(&job, 55));
        job.beat += 1;
        assert!(!pass(&job, 60), "it lived on");
        assert!(pass(&job, 10), "a whole lease");
        assert!(!all.may_take_at(at(0), &owner, None, &job), "its own agent has nothing to take");
        let later = Assigned { epoch: 4, ..job.clone() };
        assert!(!all.may_take_at(at(0), &standby, None, &later), "someone else was faster");
        all.failed();
        assert!(!all.may_take_at(at(0), &standby, None, &job), "a failed read starts again");
    }
}
