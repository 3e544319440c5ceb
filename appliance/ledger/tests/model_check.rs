//! An exhaustive check of the append protocol: several requests at once (the same twice, forks, out of order, after the end), a trim, the
//! dropping of a day, a closing, a failover that takes back what no majority has. Every interleaving of the steps that others can see is
//! visited.
//!
//! A step is one operation of the database; a transaction is two, what it read and its commit. What waits may also never happen: a frozen
//! ingest is one that takes no further step. `local` is what the primary has, `majority` what no failover takes back.
//! Checked is what `append.rs`, `days.rs` and `trim.rs` promise. Each of their rules is also left out in turn, and the check must find
//! that: a rule that can be left out unnoticed is either not needed or not checked.

use stateright::{Checker, Model, Property};

/// A rule that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// Nothing: the protocol as it is.
    None,
    /// An entry is inserted whatever the ledger ends with.
    AnyPredecessor,
    /// Two entries may have one `_id`.
    NoUniqueId,
    /// What the entry before says of its last optime is not looked at.
    AnyOptime,
    /// An entry may follow a closing one.
    AfterClose,
    /// The end is read, and the entry inserted later, in no transaction.
    NoTransaction,
    /// A transaction does not see that its `_id` was inserted and deleted since it began.
    NoIsolation,
    /// That the payload is stored is not asked.
    NoPayload,
    /// That the payload is stored is read from the primary's memory, not by a majority.
    PayloadNotDurable,
    /// An append does not write the day's document.
    DayUntouched,
    /// A day is dropped without looking whether an entry names it.
    DropNamed,
    /// A day is dropped first and marked then.
    DropBeforeMark,
    /// A day that was dropped may be used again.
    ReopenDay,
    /// An entry is acknowledged before a majority has it.
    AckEarly,
    /// Whoever lost does not look what stands there.
    NoLook,
    /// Whoever lost looks at what the primary has.
    LookLocally,
    /// Whoever lost looks at what a majority has by now, not at what it lost against.
    LookStale,
    /// A trim takes the last entry too.
    TrimLast,
    /// A trim takes entries in any order.
    TrimAnyOrder,
}

const FLAWS: [Flaw; 18] = [
    Flaw::AnyPredecessor,
    Flaw::NoUniqueId,
    Flaw::AnyOptime,
    Flaw::AfterClose,
    Flaw::NoTransaction,
    Flaw::NoIsolation,
    Flaw::NoPayload,
    Flaw::PayloadNotDurable,
    Flaw::DayUntouched,
    Flaw::DropNamed,
    Flaw::DropBeforeMark,
    Flaw::ReopenDay,
    Flaw::AckEarly,
    Flaw::NoLook,
    Flaw::LookLocally,
    Flaw::LookStale,
    Flaw::TrimLast,
    Flaw::TrimAnyOrder,
];

/// What an entry says. The oplog has the positions 1, 2 and 3; `C` is another cut of what `A` and `B` hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Says {
    Open = 1,
    A = 2,
    B = 3,
    C = 4,
    Close = 5,
    D = 6,
}

impl Says {
    /// First and last position of the oplog; a slice has one.
    fn range(self) -> Option<(u8, u8)> {
        match self {
            Self::Open | Self::Close => None,
            Self::A => Some((1, 1)),
            Self::B => Some((2, 2)),
            Self::C => Some((1, 2)),
            Self::D => Some((3, 3)),
        }
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Names an entry and, by its digits, everything before it.
type Hash = u16;
const NOTHING: Hash = 0;

fn hash(prev: Hash, says: Says) -> Hash {
    prev * 8 + says as Hash
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Entry {
    seq: u8,
    prev: Hash,
    says: Says,
    day: u8,
}

impl Entry {
    fn hash(&self) -> Hash {
        hash(self.prev, self.says)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Day {
    Open,
    Dropped,
}

/// What one member has.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Db {
    entries: Vec<Entry>,
    /// By day, which payloads are there.
    payloads: [u8; 2],
    /// The first day; the second is today and stays.
    day: Day,
    /// Entries before it were trimmed.
    floor: u8,
    /// How often each was inserted.
    effects: [u8; 8],
}

/// One request: an entry that shall follow another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Request {
    seq: u8,
    prev: Hash,
    says: Says,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum W {
    Idle,
    /// The day under which the payload will be stored.
    DayChosen(u8),
    Stored(u8),
    Known(u8),
    /// In a transaction: whether another wrote the day's document since, and whether the `_id` was written.
    Began {
        day: u8,
        touched: bool,
        lost: bool,
    },
    Committed(u8),
    Looking,
    Acked,
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum D {
    Idle,
    /// In a transaction that found no entry naming the day.
    Began {
        touched: bool,
    },
    Marked,
    /// Dropped before it was marked (a flaw).
    DroppedFirst,
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    local: Db,
    majority: Db,
    writers: Vec<W>,
    dropper: D,
    /// The closing entry that is about to be inserted.
    closing: Option<Entry>,
    closings: u8,
    failovers: u8,
    trims: u8,
    /// Somebody was told that its entry is not there while it was.
    wrongly_refused: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Write(usize),
    /// Never uploads, asks for the append all the same.
    SkipUpload(usize),
    Replicate,
    Failover,
    Trim(usize),
    Drop,
    Close,
}

#[derive(Debug, Clone)]
struct Protocol {
    flaw: Flaw,
    requests: Vec<Request>,
    /// Whether the ledger begins with an opening entry.
    is_open: bool,
    trims: u8,
    drops: bool,
    closes: bool,
}

impl Protocol {
    fn entry(&self, w: usize, day: u8) -> Entry {
        let Request { seq, prev, says } = self.requests[w];
        Entry { seq, prev, says, day }
    }

    /// Whether the entry may be inserted into a ledger that ends so.
    fn follows(&self, last: Option<&Entry>, entry: &Entry) -> bool {
        if self.flaw == Flaw::AnyPredecessor {
            return true;
        }
        let Some(last) = last else { return entry.says == Says::Open && entry.prev == NOTHING };
        let linked = entry.says != Says::Open && last.hash() == entry.prev && last.seq + 1 == entry.seq;
        let opened = last.says != Says::Close || self.flaw == Flaw::AfterClose;
        let continues = match (last.says.range(), entry.says.range()) {
            (Some((_, end)), Some((start, _))) => start > end || self.flaw == Flaw::AnyOptime,
            _ => true,
        };
        linked && opened && continues
    }

    /// Inserts; false: the `_id` is taken.
    fn insert(&self, s: &mut State, entry: Entry) -> bool {
        if self.flaw != Flaw::NoUniqueId && s.local.entries.iter().any(|there| there.seq == entry.seq) {
            return false;
        }
        self.touch_id(s, entry.seq);
        s.local.entries.push(entry);
        s.local.effects[entry.says as usize] += 1;
        true
    }

    /// An `_id` is inserted or deleted: transactions that began before and insert it conflict.
    fn touch_id(&self, s: &mut State, seq: u8) {
        if matches!(self.flaw, Flaw::NoUniqueId | Flaw::NoIsolation | Flaw::NoTransaction) {
            return;
        }
        for (writer, request) in s.writers.iter_mut().zip(&self.requests) {
            if let W::Began { lost, .. } = writer
                && request.seq == seq
            {
                *lost = true;
            }
        }
        s.closing = s.closing.filter(|entry| entry.seq != seq);
    }

    fn touch_day(s: &mut State, by: Option<usize>) {
        for (w, writer) in s.writers.iter_mut().enumerate() {
            if let W::Began { day: 0, touched, .. } = writer
                && by != Some(w)
            {
                *touched = true;
            }
        }
        if let D::Began { touched } = &mut s.dropper
            && by.is_some()
        {
            *touched = true;
        }
    }

    fn write(&self, s: &mut State, w: usize) -> Option<()> {
        let says = self.requests[w].says;
        let next = match s.writers[w] {
            W::Idle if says.range().is_none() => W::Known(1),
            W::Idle => match s.local.day {
                Day::Open => W::DayChosen(0),
                Day::Dropped if self.flaw == Flaw::ReopenDay => {
                    s.local.day = Day::Open;
                    W::DayChosen(0)
                }
                Day::Dropped => W::DayChosen(1),
            },
            W::DayChosen(day) => {
                s.local.payloads[usize::from(day)] |= says.bit();
                W::Stored(day)
            }
            W::Stored(day) => {
                let from = if self.flaw == Flaw::PayloadNotDurable { &s.local } else { &s.majority };
                let stored = from.payloads[usize::from(day)] & says.bit() != 0;
                // One that is not there yet is asked for again: the receipt came when a majority had it.
                if stored || self.flaw == Flaw::NoPayload { W::Known(day) } else { return None }
            }
            W::Known(day) => {
                let last = s.local.entries.last().copied();
                if !self.follows(last.as_ref(), &self.entry(w, day)) {
                    W::Looking
                } else if day == 0 && says.range().is_some() && s.local.day == Day::Dropped {
                    W::Refused
                } else {
                    W::Began { day, touched: false, lost: false }
                }
            }
            W::Began { day, touched, lost } => {
                let writes_day = says.range().is_some() && day == 0 && self.flaw != Flaw::DayUntouched;
                if lost || (touched && writes_day) {
                    W::Known(day)
                } else if self.insert(s, self.entry(w, day)) {
                    if writes_day {
                        Self::touch_day(s, Some(w));
                    }
                    if self.flaw == Flaw::AckEarly { W::Acked } else { W::Committed(day) }
                } else {
                    W::Looking
                }
            }
            W::Committed(day) => {
                if !s.majority.entries.contains(&self.entry(w, day)) && s.majority.floor <= self.requests[w].seq {
                    return None;
                }
                W::Acked
            }
            W::Looking => {
                let same = |db: &Db| {
                    let Request { seq, prev, says } = self.requests[w];
                    db.entries.iter().any(|e| (e.seq, e.prev, e.says) == (seq, prev, says))
                };
                let found = match self.flaw {
                    Flaw::NoLook => false,
                    Flaw::LookLocally => same(&s.local),
                    Flaw::LookStale => same(&s.majority),
                    // In the session that lost: what it lost against is in the answer.
                    _ if s.local != s.majority => return None,
                    _ => same(&s.majority),
                };
                s.wrongly_refused |= !found && same(&s.local);
                if found { W::Acked } else { W::Refused }
            }
            W::Acked | W::Refused => return None,
        };
        s.writers[w] = next;
        Some(())
    }

    fn drop_day(&self, s: &mut State) -> Option<()> {
        let named = s.local.entries.iter().any(|e| e.day == 0 && e.says.range().is_some());
        s.dropper = match s.dropper {
            D::Idle if named && self.flaw != Flaw::DropNamed => return None,
            D::Idle if self.flaw == Flaw::DropBeforeMark => {
                s.local.payloads[0] = 0;
                D::DroppedFirst
            }
            D::Idle => D::Began { touched: false },
            D::DroppedFirst => {
                s.local.day = Day::Dropped;
                Self::touch_day(s, None);
                D::Done
            }
            D::Began { touched: true } => D::Idle,
            D::Began { touched: false } => {
                s.local.day = Day::Dropped;
                Self::touch_day(s, None);
                D::Marked
            }
            D::Marked => {
                s.local.payloads[0] = 0;
                D::Done
            }
            D::Done => return None,
        };
        Some(())
    }

    /// Closes the chain wherever it ends, as `force_close` does.
    fn close(&self, s: &mut State) -> Option<()> {
        match s.closing.take() {
            None => {
                let last = s.local.entries.last()?;
                if last.says == Says::Close || s.closings > 0 {
                    return None;
                }
                s.closing = Some(Entry { seq: last.seq + 1, prev: last.hash(), says: Says::Close, day: 1 });
            }
            Some(entry) => {
                // One that conflicts begins anew.
                if self.insert(s, entry) {
                    s.closings += 1;
                }
            }
        }
        Some(())
    }

    fn failover(&self, s: &mut State) {
        s.failovers += 1;
        let lost: Vec<Entry> =
            s.local.entries.iter().filter(|entry| !s.majority.entries.contains(entry)).copied().collect();
        s.local = s.majority.clone();
        for (w, writer) in s.writers.iter_mut().enumerate() {
            match *writer {
                // Transactions end with their primary.
                W::Began { day, .. } if self.flaw != Flaw::NoTransaction => *writer = W::Known(day),
                W::Committed(day) => {
                    let Request { seq, prev, says } = self.requests[w];
                    if lost.contains(&Entry { seq, prev, says, day }) {
                        *writer = W::Known(day);
                    }
                }
                _ => {}
            }
        }
        // Its transaction ended, or what it had done is as it was: a dropper that runs again begins anew.
        if s.dropper != D::Idle && s.local.day == Day::Open {
            s.dropper = D::Idle;
        }
        if self.flaw != Flaw::NoTransaction {
            s.closing = None;
        }
        if !s.local.entries.iter().any(|entry| entry.says == Says::Close) {
            s.closings = 0;
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let open = Entry { seq: 0, prev: NOTHING, says: Says::Open, day: 1 };
        let mut effects = [0; 8];
        effects[Says::Open as usize] = u8::from(self.is_open);
        let entries = if self.is_open { vec![open] } else { Vec::new() };
        let db = Db { entries, payloads: [0; 2], day: Day::Open, floor: 0, effects };
        vec![State {
            local: db.clone(),
            majority: db,
            writers: vec![W::Idle; self.requests.len()],
            dropper: D::Idle,
            closing: None,
            closings: 0,
            failovers: 0,
            trims: 0,
            wrongly_refused: false,
        }]
    }

    fn actions(&self, s: &State, actions: &mut Vec<Action>) {
        for (w, writer) in s.writers.iter().enumerate() {
            if !matches!(writer, W::Acked | W::Refused) {
                actions.push(Action::Write(w));
            }
            if *writer == W::Idle && self.requests[w].says.range().is_some() {
                actions.push(Action::SkipUpload(w));
            }
        }
        if s.local != s.majority {
            actions.push(Action::Replicate);
            if s.failovers == 0 {
                actions.push(Action::Failover);
            }
        }
        if s.trims < self.trims {
            // Kept are the last entry, and the opening one while others are there.
            let keeps_last = usize::from(self.flaw != Flaw::TrimLast);
            let first = usize::from(s.local.entries.len() > 1 && s.local.entries[0].says == Says::Open);
            let may_go = first..s.local.entries.len().saturating_sub(keeps_last);
            let order = if self.flaw == Flaw::TrimAnyOrder { may_go.len() } else { 1 };
            actions.extend(may_go.take(order).map(Action::Trim));
        }
        if self.drops {
            actions.push(Action::Drop);
        }
        if self.closes {
            actions.push(Action::Close);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut s = last.clone();
        match action {
            Action::Write(w) => self.write(&mut s, w)?,
            Action::SkipUpload(w) => s.writers[w] = W::Stored(0),
            Action::Replicate => s.majority = s.local.clone(),
            Action::Failover => self.failover(&mut s),
            Action::Trim(at) => {
                let gone = s.local.entries.remove(at);
                self.touch_id(&mut s, gone.seq);
                s.local.floor = s.local.floor.max(gone.seq + 1);
                s.trims += 1;
            }
            Action::Drop => self.drop_day(&mut s)?,
            Action::Close => self.close(&mut s)?,
        }
        Some(s)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("entries follow each other", |_, s: &State| {
                s.majority.entries.windows(2).all(|pair| {
                    // Behind the opening entry, and nowhere else, a trim leaves a hole.
                    let trimmed = pair[0].says == Says::Open && s.majority.floor > 1 && pair[1].seq == s.majority.floor;
                    let follows = pair[1].seq == pair[0].seq + 1 && pair[1].prev == pair[0].hash();
                    trimmed || (follows && pair[0].says != Says::Close)
                })
            }),
            Property::always("no second of the source is held twice", |_, s: &State| {
                let ranges: Vec<_> = s.majority.entries.iter().filter_map(|entry| entry.says.range()).collect();
                ranges.windows(2).all(|pair| pair[1].0 > pair[0].1)
            }),
            Property::always("every request has one effect", |_, s: &State| {
                s.majority.effects.iter().all(|times| *times <= 1)
            }),
            Property::always("what an entry names is there", |_, s: &State| {
                let there = |e: &Entry| s.majority.payloads[usize::from(e.day)] & e.says.bit() != 0;
                s.majority.entries.iter().all(|entry| entry.says.range().is_none() || there(entry))
            }),
            Property::always("what was acknowledged stays", |model: &Self, s: &State| {
                s.writers.iter().zip(&model.requests).all(|(writer, request)| {
                    let is_it = |e: &Entry| (e.seq, e.prev, e.says) == (request.seq, request.prev, request.says);
                    *writer != W::Acked || request.seq < s.majority.floor || s.majority.entries.iter().any(is_it)
                })
            }),
            Property::always("nobody is refused whose entry is there", |_, s: &State| !s.wrongly_refused),
        ]
    }
}

const OPEN: Hash = 1;
const A: Hash = 10;

fn request(seq: u8, prev: Hash, says: Says) -> Request {
    Request { seq, prev, says }
}

/// Who meets whom.
fn scenarios(flaw: Flaw) -> Vec<Protocol> {
    assert_eq!((OPEN, A), (hash(NOTHING, Says::Open), hash(OPEN, Says::A)));
    let base = Protocol { flaw, requests: Vec::new(), is_open: true, trims: 0, drops: false, closes: false };
    let (a, b) = (request(1, OPEN, Says::A), request(2, A, Says::B));
    vec![
        // The same slice through two instances, and the next one sent before the first was answered.
        Protocol { requests: vec![a, a, b], ..base.clone() },
        // Another cut of the same seconds, as a fork and behind.
        Protocol { requests: vec![a, request(1, OPEN, Says::C), request(2, A, Says::C)], ..base.clone() },
        // The chain is closed meanwhile; somebody goes on behind its end.
        Protocol { requests: vec![a, request(3, hash(A, Says::Close), Says::D)], closes: true, ..base.clone() },
        // Payloads and days, with a trim that makes an entry's day free.
        Protocol { requests: vec![a, b], trims: 2, drops: true, ..base.clone() },
        Protocol { requests: vec![a, a], drops: true, ..base.clone() },
        // The opening itself, twice.
        Protocol {
            requests: vec![request(0, NOTHING, Says::Open), request(0, NOTHING, Says::Open), a],
            is_open: false,
            trims: 1,
            ..base.clone()
        },
        // A trim beside appends, and beside somebody who thaws.
        Protocol { requests: vec![a, b], trims: 1, closes: true, ..base.clone() },
        Protocol { requests: vec![a, a, b], trims: 1, ..base.clone() },
        Protocol { requests: vec![a, b, request(3, hash(A, Says::B), Says::D)], trims: 2, ..base },
    ]
}

/// Names of the promises that are broken.
fn broken(model: Protocol) -> Vec<&'static str> {
    let checker = model.checker().threads(2).spawn_bfs().join();
    let mut names: Vec<_> = checker.discoveries().into_keys().collect();
    names.sort_unstable();
    names
}

#[test]
fn the_protocol_holds() {
    for model in scenarios(Flaw::None) {
        let shown = format!("{model:?}");
        assert_eq!(broken(model), Vec::<&str>::new(), "{shown}");
    }
}

#[test]
fn each_rule_is_missed_when_it_is_left_out() {
    for flaw in FLAWS {
        let found: Vec<_> = scenarios(flaw).into_iter().flat_map(broken).collect();
        assert!(!found.is_empty(), "{flaw:?} goes unnoticed");
    }
}

/// What the promises are about does happen: the model is not silent because nothing moves.
#[test]
fn everything_happens() {
    #[derive(Clone)]
    struct Reach(Protocol);
    impl Model for Reach {
        type State = State;
        type Action = Action;
        fn init_states(&self) -> Vec<State> {
            self.0.init_states()
        }
        fn actions(&self, s: &State, actions: &mut Vec<Action>) {
            self.0.actions(s, actions);
        }
        fn next_state(&self, last: &State, action: Action) -> Option<State> {
            self.0.next_state(last, action)
        }
        fn properties(&self) -> Vec<Property<Self>> {
            let mut wanted = vec![
                Property::sometimes("an answer", |_, s: &State| s.writers.contains(&W::Acked)),
                Property::sometimes("a retry after a failover", |_, s: &State| {
                    s.failovers > 0 && s.writers.iter().all(|writer| matches!(writer, W::Acked | W::Refused))
                }),
            ];
            if self.0.drops {
                wanted.push(Property::sometimes("a dropped day", |_, s: &State| s.dropper == D::Done));
                wanted.push(Property::sometimes("a slice of the next day", |_, s: &State| {
                    s.majority.entries.iter().any(|entry| entry.day == 1 && entry.says == Says::A)
                }));
            }
            if self.0.closes {
                wanted.push(Property::sometimes("an end", |_, s: &State| {
                    s.majority.entries.last().is_some_and(|entry| entry.says == Says::Close)
                }));
            }
            wanted
        }
    }
    for model in scenarios(Flaw::None) {
        let shown = format!("{model:?}");
        let checker = Reach(model).checker().threads(2).spawn_bfs().join();
        let missing: Vec<_> = checker
            .model()
            .properties()
            .iter()
            .map(|p| p.name)
            .filter(|name| checker.discovery(name).is_none())
            .collect();
        assert!(missing.is_empty(), "{missing:?} never happens in {shown}");
    }
}
