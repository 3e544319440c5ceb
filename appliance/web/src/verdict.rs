//! The verdict on a deployment: one level, one sentence, since when, and what to do next.
//!
//! Purpose: every place that says whether data is safe says it in these words. Pure: [`verdict`] sees facts and answers.
//!
//! Invariants: `unprotected` is said only when something cannot be restored now or soon will not be; `proved` only when a snapshot was
//! opened and compared and nothing is late. Whatever is not well carries an action. What a policy promises and is not kept is late at
//! least, and its sentence says what was promised.

use holdfast_domain::{BackupState, CloseReason, ProtectionPolicy};
use holdfast_metadb::DeploymentState;
use serde::Serialize;
use utoipa::ToSchema;

/// Loss that is ordinary while the agent cuts and sends, in seconds; beyond it the verdict is late.
const LOSS_SECONDS_USUAL: i64 = 60;
/// Loss from which on the data counts as not protected, in seconds, where no policy says how much may be lost.
const LOSS_SECONDS_MAX: i64 = 900;
/// A snapshot is late when it is older than this many distances of the schedule.
const LATE_DISTANCES: i64 = 3;
/// And never before it is this old, in seconds: a short schedule waits for its turn.
const LATE_SECONDS_MIN: i64 = 900;

/// How good or bad. Ordered from the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Level {
    /// What is written now cannot be restored.
    Unprotected,
    /// Protected, but something is late and a deadline runs.
    Late,
    /// Nothing is backed up here.
    Off,
    /// A backup is being made; nothing is wrong.
    Running,
    /// Protected; no snapshot was proved yet.
    Protected,
    /// Protected, and a snapshot was opened and compared.
    Proved,
}

/// What is to be said of a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct VerdictView {
    /// `unprotected`, `late`, `off`, `running`, `protected` or `proved`.
    level: Level,
    /// One sentence.
    sentence: String,
    /// Since when, RFC 3339.
    since: Option<String>,
    /// What to do next; null when nothing is to be done.
    action: Option<String>,
}

impl VerdictView {
    /// How good or bad.
    pub(crate) const fn level(&self) -> Level {
        self.level
    }
}

/// What is known of a backup.
#[derive(Clone, Debug)]
pub(crate) struct BackupFacts<'a> {
    pub(crate) state: BackupState,
    /// Since when it is in that state, RFC 3339.
    pub(crate) since: String,
    pub(crate) last_error: Option<&'a str>,
    pub(crate) agent_error: Option<&'a str>,
    pub(crate) has_agent: bool,
    /// Why the newest chain is closed.
    pub(crate) closed: Option<CloseReason>,
    /// Last instant that can be restored, seconds since 1970 and RFC 3339.
    pub(crate) protected_to: Option<(i64, String)>,
    /// The newest good snapshot's second.
    pub(crate) snapshot_at: Option<i64>,
    /// Distance of the schedule, in seconds.
    pub(crate) every_seconds: i64,
    /// Whether the last proof was good, and when it was made.
    pub(crate) proof: Option<(bool, String)>,
    /// How long the last proof took, in seconds: what a restore takes.
    pub(crate) proof_seconds: Option<i64>,
    /// The alert about blocks that the file system called unchanged: how many of how many had changed, and when that was seen, RFC 3339.
    pub(crate) changes_alert: Option<(i64, i64, String)>,
    /// What is promised.
    pub(crate) policy: ProtectionPolicy,
    /// How far back the settings keep every second, in seconds.
    pub(crate) kept_seconds: i64,
    /// Inside the promised recovery window: the last instant before the newest gap and the first one after it, RFC 3339.
    pub(crate) gap: Option<(String, String)>,
}

/// What is known of a deployment.
#[derive(Clone, Debug)]
pub(crate) struct Facts<'a> {
    pub(crate) deployment: Option<DeploymentState>,
    pub(crate) refusal: Option<&'a str>,
    pub(crate) created: String,
    pub(crate) backup: Option<BackupFacts<'a>>,
    /// Seconds since 1970.
    pub(crate) now: i64,
}

fn say(level: Level, sentence: impl Into<String>, since: Option<String>, action: Option<&str>) -> VerdictView {
    VerdictView { level, sentence: sentence.into(), since, action: action.map(str::to_owned) }
}

/// Judges.
pub(crate) fn verdict(facts: &Facts<'_>) -> VerdictView {
    let created = Some(facts.created.clone());
    let Some(backup) = &facts.backup else {
        return match facts.deployment {
            Some(DeploymentState::Refused) => {
                let why = facts.refusal.unwrap_or("the agent refused it");
                say(
                    Level::Unprotected,
                    format!("Not backed up: {why}"),
                    created,
                    Some("Change what the sentence names"),
                )
            }
            Some(DeploymentState::Found) => {
                say(Level::Off, "Not backed up: no backup was started", created, Some("Start the backup"))
            }
            _ => {
                say(Level::Running, "An agent is looking at it", created, Some("See that an agent of this group runs"))
            }
        };
    };
    let since = Some(backup.since.clone());
    let error = backup.last_error.or(backup.agent_error);
    match backup.state {
        BackupState::Stopped => {
            return say(Level::Off, "Stopped: what is written now is not backed up", since, Some("Start the backup"));
        }
        BackupState::Terminated => {
            let sentence = "Terminated: nothing is backed up, and its snapshots go with the trash";
            return say(Level::Off, sentence, since, Some("Take the termination back while its snapshots are there"));
        }
        BackupState::Failed => {
            let why = error.unwrap_or("the backup cannot go on by itself");
            return say(Level::Unprotected, format!("The backup failed: {why}"), since, Some("Resync the backup"));
        }
        _ => {}
    }
    if !backup.has_agent {
        let action = Some("Start an agent beside the databases");
        return say(Level::Unprotected, "No agent sends: what is written now is not backed up", since, action);
    }
    let Some((until, until_text)) = &backup.protected_to else {
        return error.map_or_else(
            || say(Level::Running, "The first copy is being made; nothing can be restored yet", since.clone(), None),
            |why| {
                let sentence = format!("The first copy waits: {why}");
                say(Level::Unprotected, sentence, since.clone(), Some("Change what the sentence names"))
            },
        );
    };
    let loss = (facts.now - until).max(0);
    let at = Some(until_text.clone());
    if backup.closed.is_some() || backup.state == BackupState::Resyncing {
        let sentence = "A new initial sync runs; what is written until its end cannot be restored yet";
        return say(Level::Unprotected, sentence, at, Some("Wait for the initial sync, or look at its errors"));
    }
    let promised = backup.policy.unprotected_seconds.map(i64::from);
    let loss_max = promised.unwrap_or(LOSS_SECONDS_MAX);
    if loss > loss_max {
        let allowed = promised.map(|most| format!("; the policy allows {}", span(most))).unwrap_or_default();
        let sentence = match error {
            Some(why) => format!("Writes of the last {} are not backed up{allowed}: {why}", span(loss)),
            None => format!("Writes of the last {} are not backed up{allowed}", span(loss)),
        };
        return say(Level::Unprotected, sentence, at, Some("See that the agent runs and reaches the appliance"));
    }
    if let Some((false, proved_at)) = &backup.proof {
        let action = Some("Take a snapshot now, and resync when it fails its proof too");
        return say(Level::Unprotected, "The last snapshot failed its proof", Some(proved_at.clone()), action);
    }
    // Older than what is late now, and not put right by waiting.
    if let Some((missed, sampled, seen)) = &backup.changes_alert {
        let sentence = format!(
            "Protected, but {missed} of {sampled} blocks that the file system called unchanged had changed: snapshots before this one may lack changes"
        );
        let action = Some("Check the disk and the kernel under the head, then acknowledge the alert");
        return say(Level::Late, sentence, Some(seen.clone()), action);
    }
    // Half of what may be lost is a warning; where nothing is promised, what is ordinary.
    let usual = promised.map_or(LOSS_SECONDS_USUAL, |most| (most / 2).max(LOSS_SECONDS_USUAL).min(most));
    if loss > usual {
        let sentence = format!("Protected, but the newest {} are not here yet", span(loss));
        return say(Level::Late, sentence, at, Some("Look at the agent: it is slow or cannot reach the appliance"));
    }
    if let Some(taken) = backup.snapshot_at {
        let late = (backup.every_seconds * LATE_DISTANCES).max(LATE_SECONDS_MIN);
        let age = facts.now - taken;
        if age > late {
            let sentence = format!("Protected, but the last snapshot is {} old", span(age));
            return say(Level::Late, sentence, at, Some("Look at the daemon that holds the head"));
        }
    }
    if let Some(unmet) = unmet(backup, &at) {
        return unmet;
    }
    if let Some(why) = error {
        return say(
            Level::Late,
            format!("Protected, with an error: {why}"),
            at,
            Some("Change what the sentence names"),
        );
    }
    match &backup.proof {
        Some((true, proved_at)) => {
            say(Level::Proved, "Protected, and a snapshot was opened and compared", Some(proved_at.clone()), None)
        }
        _ => say(Level::Protected, "Protected; no snapshot was proved yet", since, None),
    }
}

/// What was promised and is not kept, beyond the loss.
fn unmet(backup: &BackupFacts<'_>, at: &Option<String>) -> Option<VerdictView> {
    let policy = &backup.policy;
    if let Some(window) = policy.recovery_window_seconds.map(i64::from) {
        if window > backup.kept_seconds {
            let (kept, wanted) = (span(backup.kept_seconds), span(window));
            let sentence =
                format!("Protected, but retention keeps every second of {kept} and the policy asks for {wanted}");
            let action = Some("Keep more days of seconds in the settings of the backup, or change the policy");
            return Some(say(Level::Late, sentence, at.clone(), action));
        }
        if let Some((from, to)) = &backup.gap {
            let sentence = format!(
                "Protected, but no second between {from} and {to} can be restored, and the policy asks for every second of the last {}",
                span(window)
            );
            let action = Some("Look at the timeline for the reason; the gap stays until the window has passed it");
            return Some(say(Level::Late, sentence, Some(from.clone()), action));
        }
    }
    let (took, most) = (backup.proof_seconds?, i64::from(policy.restore_seconds?));
    (took > most).then(|| {
        let sentence = format!(
            "Protected, but the last proof took {} and the policy asks for a restore within {}",
            span(took),
            span(most)
        );
        let since = backup.proof.as_ref().map(|(_, when)| when.clone());
        let action = Some("Move the head to a daemon with faster disks, or change the policy");
        say(Level::Late, sentence, since, action)
    })
}

/// A length of time in words, for sentences.
fn span(seconds: i64) -> String {
    match seconds {
        ..=119 => format!("{seconds} s"),
        120..=7_199 => format!("{} min", seconds / 60),
        7_200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> BackupFacts<'static> {
        BackupFacts {
            state: BackupState::Active,
            since: "s".into(),
            last_error: None,
            agent_error: None,
            has_agent: true,
            closed: None,
            protected_to: Some((9_990, "p".into())),
            snapshot_at: Some(9_000),
            every_seconds: 3_600,
            proof: Some((true, "q".into())),
            proof_seconds: Some(90),
            changes_alert: None,
            policy: ProtectionPolicy::default(),
            kept_seconds: 7 * 86_400,
            gap: None,
        }
    }

    fn of(backup: Option<BackupFacts<'static>>) -> VerdictView {
        verdict(&Facts {
            deployment: Some(DeploymentState::Found),
            refusal: None,
            created: "c".into(),
            backup,
            now: 10_000,
        })
    }

    fn level(change: impl FnOnce(&mut BackupFacts<'static>)) -> Level {
        let mut facts = backup();
        change(&mut facts);
        of(Some(facts)).level()
    }

    #[test]
    fn from_the_worst_to_the_best() {
        assert_eq!(of(None).level(), Level::Off);
        assert_eq!(level(|_| {}), Level::Proved);
        assert_eq!(level(|b| b.proof = None), Level::Protected);
        assert_eq!(level(|b| b.proof = Some((false, "q".into()))), Level::Unprotected);
        assert_eq!(level(|b| b.state = BackupState::Failed), Level::Unprotected);
        assert_eq!(level(|b| b.state = BackupState::Stopped), Level::Off);
        assert_eq!(level(|b| b.state = BackupState::Terminated), Level::Off);
        assert_eq!(level(|b| b.state = BackupState::Resyncing), Level::Unprotected);
        assert_eq!(level(|b| b.has_agent = false), Level::Unprotected);
        assert_eq!(level(|b| b.protected_to = None), Level::Running);
        assert_eq!(level(|b| (b.protected_to, b.agent_error) = (None, Some("code 18"))), Level::Unprotected);
        assert_eq!(level(|b| b.protected_to = Some((9_900, "p".into()))), Level::Late);
        assert_eq!(level(|b| b.protected_to = Some((9_000, "p".into()))), Level::Unprotected);
        assert_eq!(level(|b| b.snapshot_at = Some(-1_000)), Level::Late);
        assert_eq!(level(|b| b.last_error = Some("no port")), Level::Late);
        assert_eq!(level(|b| b.changes_alert = Some((1, 64, "m".into()))), Level::Late);
        assert!(Level::Unprotected < Level::Late && Level::Late < Level::Proved);
    }

    #[test]
    fn what_is_promised_is_measured() {
        let said = |policy: ProtectionPolicy, change: fn(&mut BackupFacts<'static>)| {
            let mut facts = backup();
            facts.policy = policy;
            change(&mut facts);
            of(Some(facts))
        };
        let none = ProtectionPolicy::default();
        let loss = ProtectionPolicy { unprotected_seconds: Some(300), ..none };
        let late = |b: &mut BackupFacts<'static>| b.protected_to = Some((9_600, "p".into()));
        assert_eq!(said(none, late).level(), Level::Late, "not lost by the default");
        let unprotected = said(loss, late);
        assert_eq!(unprotected.level(), Level::Unprotected);
        assert!(unprotected.sentence.contains("the policy allows 5 min"), "{}", unprotected.sentence);
        let much = ProtectionPolicy { unprotected_seconds: Some(7_200), ..none };
        assert_eq!(said(much, |b| b.protected_to = Some((8_000, "p".into()))).level(), Level::Proved, "allowed");

        let window = ProtectionPolicy { recovery_window_seconds: Some(30 * 86_400), ..none };
        let short = said(window, |_| {});
        assert_eq!(short.level(), Level::Late);
        assert!(short.sentence.contains("of 7 days and the policy asks for 30 days"), "{}", short.sentence);
        let week = ProtectionPolicy { recovery_window_seconds: Some(7 * 86_400), ..none };
        assert_eq!(said(week, |_| {}).level(), Level::Proved);
        let gap = said(week, |b| b.gap = Some(("g".into(), "h".into())));
        assert_eq!((gap.level(), gap.since.as_deref(), gap.action.is_some()), (Level::Late, Some("g"), true));

        let fast = ProtectionPolicy { restore_seconds: Some(60), ..none };
        assert!(said(fast, |_| {}).sentence.contains("took 90 s and the policy asks for a restore within 60 s"));
        assert_eq!(said(fast, |b| b.proof_seconds = None).level(), Level::Proved, "not measured yet");
        assert_eq!(said(ProtectionPolicy { restore_seconds: Some(90), ..none }, |_| {}).level(), Level::Proved);
    }

    #[test]
    fn what_is_not_well_says_what_to_do() {
        for change in [
            |b: &mut BackupFacts<'static>| b.state = BackupState::Failed,
            |b: &mut BackupFacts<'static>| b.closed = Some(CloseReason::WindowLost),
            |b: &mut BackupFacts<'static>| b.protected_to = Some((9_900, "p".into())),
            |b: &mut BackupFacts<'static>| b.changes_alert = Some((1, 64, "m".into())),
        ] {
            let mut facts = backup();
            change(&mut facts);
            assert!(of(Some(facts)).action.is_some());
        }
        assert!(of(Some(backup())).action.is_none());
    }

    #[test]
    fn spans() {
        assert_eq!(span(90), "90 s");
        assert_eq!(span(600), "10 min");
        assert_eq!(span(90_000), "25 h");
        assert_eq!(span(200_000), "2 days");
    }
}
