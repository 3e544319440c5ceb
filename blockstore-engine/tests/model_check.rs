//! An exhaustive check of the protocol: three writers, two runs of the collector (each may be frozen, killed, taken over at any step), trashing
//! and unlinking, over one block. Every interleaving of the steps that others can see is visited.
//!
//! A step here is one operation of the database (or one transaction), so that the model is as fine as what can interleave in truth. Everything
//! that waits may also never happen: a frozen participant is one that takes no further step, a late one takes it later.
//! Invariants checked: a committed snapshot has its block and the block's payload; a writer whose registration stands and that found its
//! parent keeps it. Each rule of `docs/concurrency.md` is also left out in turn, and the check must find that: a rule that can be left out
//! unnoticed is either not needed or not checked.

use stateright::{Checker, Model, Property};

const WRITERS: usize = 3;
const RUNS: usize = 2;
/// The place of the payload that the first snapshot wrote; writers use their own numbers.
const OLD: u8 = 3;
/// Instead of the epoch of a writer that failed after it had inserted a payload.
const INSERTED: u8 = 9;

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// Nothing: the protocol as it is.
    None,
    /// The writer does not read the epoch again after it registered.
    NoSecondLook,
    /// A block with an older epoch is used without a claim.
    NoClaim,
    /// A run does not wait for older writers.
    NoWait,
    /// Indexing does not touch the registration.
    IndexUnregistered,
    /// Committing does not delete the registration, nor need it.
    CommitUnregistered,
    /// A run deletes by id, whatever `e` became meanwhile.
    DeleteByIdAlone,
    /// A run deletes by id and `e`, whatever `at` became meanwhile, and then the payload that it read.
    PayloadUnchecked,
    /// Unlinking does not look for registrations with this parent.
    UnlinkParents,
    /// A payload is swept although its registration stands.
    SweepRegistered,
    /// The sweep reads the index before it reads the registrations.
    SweepRowsFirst,
    /// The sweep reads the registrations before it looks which payloads there are.
    SweepUnseen,
    /// Expired registrations are ignored, not deleted.
    IgnoreExpired,
    /// The registration does not look for its parent.
    RegisterBlindly,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum W {
    Idle,
    EpochRead,
    Registered,
    SawNewer(u8),
    Settled,
    ParentChecked,
    Lookup,
    Claim,
    Insert,
    Index,
    Ready,
    Committed,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum R {
    Idle,
    Leased,
    Waiting,
    Unlinking,
    RootsRead,
    Scanned,
    BlocksDeleted,
    PayloadsDeleted,
    PayloadsSeen,
    FirstRead,
    SecondRead,
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    epoch: u8,
    /// Place and epoch of the block.
    row: Option<(u8, u8)>,
    /// Places with a payload.
    payloads: u8,
    /// Snapshots: the old one (bit 3) and one per writer.
    roots: u8,
    trash: u8,
    trashings: u8,
    registered: [Option<u8>; WRITERS],
    writers: [(W, u8); WRITERS],
    runs: [Run; RUNS],
    lease: Option<u8>,
    left: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Run {
    at: R,
    epoch: u8,
    marked: bool,
    doomed: Option<u8>,
    /// Payloads, registrations and the block's place, as the sweep read them in this order.
    seen: u8,
    live: u8,
    named: Option<u8>,
    /// Registrations that this run takes for dead without deleting them (a flaw).
    ignored: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Write(usize),
    Step(usize),
    Expire(usize, usize),
    Unlink(usize, u8),
    Trash(u8),
    Untrash(u8),
}

struct Protocol {
    flaw: Flaw,
    /// Whether each writer compares with the old snapshot.
    parents: [bool; WRITERS],
    /// How often somebody trashes or takes out of the trash.
    trashings: u8,
    runs: usize,
}

impl Protocol {
    fn write(&self, s: &mut State, w: usize) -> Option<()> {
        let (step, epoch) = s.writers[w];
        let has_parent = self.parents[w];
        let parent_there = s.roots & (1 << OLD) != 0;
        let next = match step {
            W::Idle => {
                s.writers[w].1 = s.epoch;
                W::EpochRead
            }
            W::EpochRead => {
                if has_parent && !parent_there && self.flaw != Flaw::RegisterBlindly {
                    W::Failed
                } else {
                    s.registered[w] = Some(epoch);
                    W::Registered
                }
            }
            W::Registered if self.flaw == Flaw::NoSecondLook => W::ParentChecked,
            W::Registered if s.epoch > epoch => W::SawNewer(s.epoch),
            W::Registered => W::Settled,
            W::SawNewer(newer) => match &mut s.registered[w] {
                None => W::Failed,
                Some(registered) => {
                    *registered = newer;
                    s.writers[w].1 = newer;
                    // And looks again.
                    W::Registered
                }
            },
            W::Settled => {
                if has_parent && !parent_there && self.flaw != Flaw::RegisterBlindly {
                    s.registered[w] = None;
                    W::Failed
                } else {
                    W::ParentChecked
                }
            }
            // What the parent has needs no claim.
            W::ParentChecked if has_parent => W::Ready,
            W::ParentChecked | W::Lookup => match s.row {
                None => W::Insert,
                Some((_, e)) if e >= epoch || self.flaw == Flaw::NoClaim => W::Ready,
                Some(_) => W::Claim,
            },
            W::Claim => match &mut s.row {
                Some((_, e)) => {
                    *e = (*e).max(epoch);
                    W::Ready
                }
                None => W::Lookup,
            },
            W::Insert => {
                s.payloads |= 1 << w;
                W::Index
            }
            W::Index => {
                if s.registered[w].is_none() && self.flaw != Flaw::IndexUnregistered {
                    W::Failed
                } else {
                    match s.row {
                        None => {
                            s.row = Some((u8::try_from(w).unwrap(), epoch));
                            W::Ready
                        }
                        // Taken: looks up again; its payload waits at its place.
                        Some((_, e)) if e >= epoch => W::Ready,
                        Some(_) => W::Claim,
                    }
                }
            }
            W::Ready => {
                if s.registered[w].take().is_none() && self.flaw != Flaw::CommitUnregistered {
                    W::Failed
                } else {
                    s.roots |= 1 << w;
                    W::Committed
                }
            }
            W::Committed | W::Failed => return None,
        };
        s.writers[w].0 = next;
        if matches!(next, W::Committed | W::Failed) {
            s.writers[w].1 = if step == W::Index { INSERTED } else { 0 };
        }
        Some(())
    }

    fn step(&self, s: &mut State, r: usize) -> Option<()> {
        let me = u8::try_from(r).unwrap();
        let mut run = s.runs[r].clone();
        run.at = match run.at {
            R::Idle => {
                // Free, or its owner is taken for dead: at any time, since nobody can tell dead from slow.
                s.lease = Some(me);
                match s.left {
                    Some(epoch) => {
                        run.epoch = epoch;
                        R::Waiting
                    }
                    None => R::Leased,
                }
            }
            R::Leased => {
                s.epoch += 1;
                run.epoch = s.epoch;
                // A kill between the two costs an epoch, nothing else.
                if s.lease == Some(me) {
                    s.left = Some(run.epoch);
                    R::Waiting
                } else {
                    R::Done
                }
            }
            R::Waiting => {
                let is_older =
                    |(w, e): (usize, &Option<u8>)| e.is_some_and(|e| e < run.epoch) && run.ignored & (1 << w) == 0;
                if self.flaw != Flaw::NoWait && s.registered.iter().enumerate().any(is_older) {
                    return None;
                }
                R::Unlinking
            }
            R::Unlinking => {
                let is_older = |e: &Option<u8>| e.is_some_and(|e| e < run.epoch);
                run.marked = s.roots != 0;
                // Read together with the roots; one that is older sends the run back.
                let waits = !matches!(self.flaw, Flaw::NoWait | Flaw::IgnoreExpired);
                if waits && s.registered.iter().any(is_older) { R::Waiting } else { R::RootsRead }
            }
            R::RootsRead => {
                run.doomed = s.row.filter(|(_, e)| !run.marked && *e < run.epoch).map(|(at, _)| at);
                R::Scanned
            }
            R::Scanned => {
                let matches = |(at, e): (u8, u8)| match self.flaw {
                    Flaw::DeleteByIdAlone => true,
                    Flaw::PayloadUnchecked => e < run.epoch,
                    _ => Some(at) == run.doomed && e < run.epoch,
                };
                if run.doomed.is_some() && s.row.is_some_and(matches) {
                    s.row = None;
                }
                R::BlocksDeleted
            }
            R::BlocksDeleted => {
                if let Some(at) = run.doomed {
                    // What is still there under its place was claimed meanwhile.
                    if self.flaw == Flaw::PayloadUnchecked || s.row.is_none_or(|(there, _)| there != at) {
                        s.payloads &= !(1 << at);
                    }
                }
                run.doomed = None;
                R::PayloadsDeleted
            }
            R::PayloadsDeleted => {
                run.seen = if self.flaw == Flaw::SweepUnseen { 0b1111 } else { s.payloads };
                R::PayloadsSeen
            }
            R::PayloadsSeen | R::FirstRead => {
                let registrations = (run.at == R::PayloadsSeen) != (self.flaw == Flaw::SweepRowsFirst);
                if registrations {
                    let live = (0..WRITERS).filter(|w| s.registered[*w].is_some());
                    run.live = live.fold(0, |bits, w| bits | 1 << w);
                } else {
                    run.named = s.row.map(|(at, _)| at);
                }
                if run.at == R::PayloadsSeen { R::FirstRead } else { R::SecondRead }
            }
            R::SecondRead => {
                for at in 0..4 {
                    let is_live = run.live & (1 << at) != 0 && self.flaw != Flaw::SweepRegistered;
                    if run.seen & (1 << at) != 0 && !is_live && run.named != Some(at) {
                        s.payloads &= !(1 << at);
                    }
                }
                (run.seen, run.live, run.named, run.marked) = (0, 0, None, false);
                if s.lease == Some(me) {
                    (s.lease, s.left) = (None, None);
                }
                R::Done
            }
            R::Done => return None,
        };
        if run.at == R::Done {
            // What is over is all the same.
            run = Run { at: R::Done, epoch: 0, marked: false, doomed: None, seen: 0, live: 0, named: None, ignored: 0 };
        }
        s.runs[r] = run;
        Some(())
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let run = Run { at: R::Idle, epoch: 0, marked: false, doomed: None, seen: 0, live: 0, named: None, ignored: 0 };
        vec![State {
            epoch: 1,
            row: Some((OLD, 1)),
            payloads: 1 << OLD,
            roots: 1 << OLD,
            trash: 1 << OLD,
            trashings: 0,
            registered: [None; WRITERS],
            writers: [(W::Idle, 0); WRITERS],
            runs: [run.clone(), run],
            lease: None,
            left: None,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        actions
            .extend((0..WRITERS).filter(|w| !matches!(s.writers[*w].0, W::Committed | W::Failed)).map(Action::Write));
        for r in 0..self.runs {
            if s.runs[r].at != R::Done {
                actions.push(Action::Step(r));
            }
            if s.runs[r].at == R::Waiting {
                let older = |w: &usize| s.registered[*w].is_some_and(|e| e < s.runs[r].epoch);
                actions.extend((0..WRITERS).filter(older).map(|w| Action::Expire(r, w)));
            }
            if s.runs[r].at == R::Unlinking {
                actions.extend(
                    (0..4).filter(|root| s.roots & s.trash & (1 << root) != 0).map(|root| Action::Unlink(r, root)),
                );
            }
        }
        if s.trashings < self.trashings {
            for root in (0..4).filter(|root| s.roots & (1 << root) != 0) {
                actions.push(if s.trash & (1 << root) == 0 { Action::Trash(root) } else { Action::Untrash(root) });
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Write(w) => self.write(&mut s, w)?,
            Action::Step(r) => self.step(&mut s, r)?,
            Action::Expire(r, w) if self.flaw == Flaw::IgnoreExpired => s.runs[r].ignored |= 1 << w,
            Action::Expire(_, w) => s.registered[w] = None,
            Action::Unlink(r, root) => {
                let is_parent = |w: usize| s.registered[w].is_some() && self.parents[w] && root == OLD;
                if s.lease != Some(u8::try_from(r).unwrap())
                    || (self.flaw != Flaw::UnlinkParents && (0..WRITERS).any(is_parent))
                {
                    return None;
                }
                s.roots &= !(1 << root);
                s.trash &= !(1 << root);
            }
            Action::Trash(root) => {
                s.trash |= 1 << root;
                s.trashings += 1;
            }
            Action::Untrash(root) => {
                s.trash &= !(1 << root);
                s.trashings += 1;
            }
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::always("a snapshot has its block and the payload", |_, s: &State| {
                s.roots == 0 || s.row.is_some_and(|(at, _)| s.payloads & (1 << at) != 0)
            }),
            Property::always("a writer keeps the parent that it found", |model: &Self, s: &State| {
                (0..WRITERS).all(|w| {
                    let relies = matches!(s.writers[w].0, W::ParentChecked | W::Ready);
                    !(model.parents[w] && relies && s.registered[w].is_some()) || s.roots & (1 << OLD) != 0
                })
            }),
        ];
        // That the interesting things happen at all.
        if self.flaw == Flaw::None {
            properties.extend([
                Property::sometimes("the block is collected", |_, s: &State| s.row.is_none() && s.payloads == 0),
                Property::sometimes("a claim saves the block", |_, s: &State| {
                    s.row.is_some_and(|(at, e)| at == OLD && e > 1) && s.roots & 0b111 != 0 && s.roots & (1 << OLD) == 0
                }),
                Property::sometimes("all writers commit", |_, s: &State| s.roots & 0b111 == 0b111),
                Property::sometimes("a writer is cancelled", |_, s: &State| {
                    s.writers.iter().any(|(step, _)| *step == W::Failed)
                }),
                Property::sometimes("a block is stored again", |_, s: &State| {
                    s.row.is_some_and(|(at, _)| at != OLD) && s.roots != 0
                }),
                Property::sometimes("an orphan is swept", |_, s: &State| {
                    s.runs[0].at == R::Done
                        && s.writers[0].0 == W::Failed
                        && s.payloads & 1 == 0
                        && s.writers[0].1 == INSERTED
                }),
            ]);
        }
        if self.flaw == Flaw::None && self.runs == 2 {
            properties.push(Property::sometimes("a run is taken over and goes on as a ghost", |_, s: &State| {
                s.runs[0].at == R::Scanned && s.runs[0].doomed.is_some() && s.runs[1].at == R::Done && s.lease.is_none()
            }));
        }
        properties
    }
}

fn check(protocol: Protocol) -> (usize, Option<&'static str>) {
    let flaw = protocol.flaw;
    let checker = protocol.checker().threads(2).finish_when(stateright::HasDiscoveries::AnyFailures).spawn_bfs().join();
    let broken = checker.discoveries().into_keys().find(|name| {
        *name == "a snapshot has its block and the payload" || *name == "a writer keeps the parent that it found"
    });
    if flaw == Flaw::None {
        checker.assert_properties();
    }
    (checker.unique_state_count(), broken)
}

/// One meets the old snapshot's block anew, two compare with it; two runs, of which the second may take over from the first at any step.
#[test]
fn no_interleaving_of_three_writers_and_two_runs_loses_a_block() {
    let (states, broken) = check(Protocol { flaw: Flaw::None, parents: [false, true, true], trashings: 0, runs: 2 });
    assert_eq!(broken, None);
    println!("{states} states");
    assert!(states > 100_000, "{states}");
}

/// Snapshots come and go through the trash beside one run.
#[test]
fn no_interleaving_with_trashing_loses_a_block() {
    for (parents, trashings) in [([false, true, false], 1), ([false, true, true], 2)] {
        let (states, broken) = check(Protocol { flaw: Flaw::None, parents, trashings, runs: 1 });
        assert_eq!(broken, None);
        println!("{states} states");
    }
}

#[test]
fn every_rule_is_needed() {
    for flaw in [
        Flaw::NoSecondLook,
        Flaw::NoClaim,
        Flaw::NoWait,
        Flaw::IndexUnregistered,
        Flaw::CommitUnregistered,
        Flaw::DeleteByIdAlone,
        Flaw::PayloadUnchecked,
        Flaw::UnlinkParents,
        Flaw::SweepRegistered,
        Flaw::SweepRowsFirst,
        Flaw::SweepUnseen,
        Flaw::IgnoreExpired,
        Flaw::RegisterBlindly,
    ] {
        let found = [1, 2]
            .into_iter()
            .find_map(|runs| check(Protocol { flaw, parents: [false, true, false], trashings: 1, runs }).1);
        println!("{flaw:?}: {found:?}");
        assert!(found.is_some(), "{flaw:?} goes unnoticed");
    }
}
