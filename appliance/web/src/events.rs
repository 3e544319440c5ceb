//! Server-sent events: what changed in a group, or anywhere in the appliance, so that pages read it anew.
//!
//! One reader of the app database's change stream serves all listeners of an instance and runs only while there are any. An event names what
//! changed, never what it holds. The same thing is told at most twice a second. Of what was removed every
//! listener hears the kind and nothing else: nothing is left that says whose it was. A listener that falls behind, and every listener after the
//! database was away, is told `reload`. A stream ends when its session or key no longer may, when the process ends, and after an hour.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode},
    response::{
        IntoResponse as _, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::stream;
use holdfast_domain::{Action, GroupId, Resource};
use holdfast_metadb::{Change, ChangeKind, ChangeScope, MetaDb};
use serde::Serialize;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;

use crate::{
    caller::{Caller, InGroup, still_may},
    problem::{ApiError, Problem},
    state::WebState,
};

/// Changes that a slow listener may be behind before it is told to reload.
const BACKLOG_MAX: usize = 1024;
/// Changes are gathered for this long and told together, each thing once: heads move many times a second.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// A listener's right to listen is looked at this often; also how often an idle stream says that it lives.
const CHECK_EVERY: Duration = Duration::from_secs(10);
/// A stream ends after this long: the browser opens another by itself.
const STREAM_MAX: Duration = Duration::from_secs(3600);
/// Pause before another change stream is opened, after one failed.
const REOPEN: Duration = Duration::from_secs(2);
/// Streams of an instance: each holds a connection and a little memory.
const STREAMS_MAX: usize = 2000;
/// Streams of one person or key on an instance: a stream for each tab that is open.
const STREAMS_PER_CALLER_MAX: usize = 32;

/// What a listener is told.
#[derive(Clone, Debug)]
enum Told {
    Changed(Arc<Change>),
    Reload,
}

/// The listeners of an instance.
pub(crate) struct Hub {
    metadb: MetaDb,
    shutdown: CancellationToken,
    sender: Mutex<Option<broadcast::Sender<Told>>>,
    /// Streams of each caller.
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// A caller's place among the listeners; free again when it is dropped.
struct Place {
    caller: String,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.caller) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.caller);
            }
        }
    }
}

impl Hub {
    pub(crate) fn new(metadb: MetaDb, shutdown: CancellationToken) -> Self {
        Self { metadb, shutdown, sender: Mutex::new(None), open: Arc::default() }
    }

    /// A place for one more stream of a caller; None: they have as many as they may.
    fn place(&self, caller: &Caller) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(caller.fingerprint().to_owned()).or_default();
        if *count >= STREAMS_PER_CALLER_MAX {
            return None;
        }
        *count += 1;
        Some(Place { caller: caller.fingerprint().to_owned(), open: self.open.clone() })
    }

    /// Listens; starts the reader when there is none. None: there are too many listeners.
    fn listen(&self) -> Option<broadcast::Receiver<Told>> {
        let mut sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = sender.as_ref()
            && running.receiver_count() > 0
        {
            return (running.receiver_count() < STREAMS_MAX).then(|| running.subscribe());
        }
        let (fresh, receiver) = broadcast::channel(BACKLOG_MAX);
        *sender = Some(fresh.clone());
        tokio::spawn(read(self.metadb.clone(), fresh, self.shutdown.clone()));
        Some(receiver)
    }
}

/// Reads changes until nobody listens.
async fn read(metadb: MetaDb, sender: broadcast::Sender<Told>, shutdown: CancellationToken) {
    while sender.receiver_count() > 0 && !shutdown.is_cancelled() {
        match metadb.changes().await {
            Ok(changes) => {
                // What happened before the stream was open is not in it.
                let _ = sender.send(Told::Reload);
                tokio::select! { () = pass_on(changes, &sender) => {}, () = shutdown.cancelled() => return }
            }
            Err(error) => tracing::warn!(%error, "changes cannot be watched: trying again"),
        }
        tokio::select! { () = tokio::time::sleep(REOPEN) => {}, () = shutdown.cancelled() => return }
    }
}

/// Tells what a change stream brings, each thing once per tick, until it breaks or nobody listens.
async fn pass_on(mut changes: holdfast_metadb::Changes, sender: &broadcast::Sender<Told>) {
    let mut waiting: HashSet<Change> = HashSet::new();
    let mut tick = tokio::time::interval(TELL_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            next = changes.next() => match next {
                Some(Ok(change)) if waiting.len() < BACKLOG_MAX / 2 => { waiting.insert(change); }
                // More than a page could read anew one by one.
                Some(Ok(_)) => {
                    waiting.clear();
                    let _ = sender.send(Told::Reload);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "the stream of changes broke: another is opened");
                    return;
                }
                None => return,
            },
            _ = tick.tick() => {
                if sender.receiver_count() == 0 {
                    return;
                }
                for change in waiting.drain() {
                    let _ = sender.send(Told::Changed(Arc::new(change)));
                }
            }
        }
    }
}

/// One event; its name is the `event` field of the stream.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChangeView {
    /// `backup`, `restore`, `agent`, `deployment`, `people`, `key`, `audit`; of the appliance also `group`, `user`, `daemon`, `setting`,
    /// `blockstore`, `offsite`; or `reload`: read everything anew.
    kind: &'static str,
    /// Id of what changed; empty for `reload` and for what is gone.
    id: String,
    /// Name of the replica set, where there is one.
    rs: Option<String>,
    /// Id of the group in which it changed; null: of the appliance, or it is gone.
    group: Option<String>,
}

fn event(view: &ChangeView) -> Event {
    let data = serde_json::to_string(view).unwrap_or_default();
    Event::default().event("change").data(data)
}

fn reload() -> Event {
    event(&ChangeView { kind: "reload", group: None, id: String::new(), rs: None })
}

fn view(change: &Change) -> ChangeView {
    let kind = match change.kind {
        ChangeKind::Backup => "backup",
        ChangeKind::Restore => "restore",
        ChangeKind::Agent => "agent",
        ChangeKind::Deployment => "deployment",
        ChangeKind::Member => "people",
        ChangeKind::Key => "key",
        ChangeKind::Audit => "audit",
        ChangeKind::Group => "group",
        ChangeKind::User => "user",
        ChangeKind::Daemon => "daemon",
        ChangeKind::Setting => "setting",
        ChangeKind::Blockstore => "blockstore",
        ChangeKind::Offsite => "offsite",
    };
    let group = match &change.scope {
        ChangeScope::Group(group) => Some(group.to_string()),
        ChangeScope::Appliance | ChangeScope::Gone => None,
    };
    ChangeView { kind, group, id: change.id.clone(), rs: change.rs.clone() }
}

/// Whether who listens to a group, or to the whole appliance (None), is told of a change.
fn concerns(change: &Change, listens_to: Option<&GroupId>) -> bool {
    match (&change.scope, listens_to) {
        (ChangeScope::Gone, _) | (_, None) => true,
        (ChangeScope::Group(group), Some(own)) => group == own,
        (ChangeScope::Appliance, Some(_)) => false,
    }
}

/// One listener.
struct Listener {
    state: WebState,
    /// None: to the whole appliance.
    group: Option<GroupId>,
    headers: HeaderMap,
    caller: Caller,
    receiver: broadcast::Receiver<Told>,
    check: tokio::time::Interval,
    begun: Instant,
    first: bool,
    _place: Place,
}

impl Listener {
    /// The next event; None: the stream is over.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.first) {
            return Some(reload());
        }
        let shutdown = self.state.shutdown().clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return None,
                told = self.receiver.recv() => match told {
                    Ok(Told::Changed(change)) if concerns(&change, self.group.as_ref()) => {
                        return Some(event(&view(&change)));
                    }
                    Ok(Told::Changed(_)) => {}
                    Ok(Told::Reload) | Err(RecvError::Lagged(_)) => return Some(reload()),
                    Err(RecvError::Closed) => return None,
                },
                _ = self.check.tick() => {
                    let (state, group) = (&self.state, self.group.as_ref());
                    let may = still_may(state, &self.headers, &self.caller, Action::Read, Resource::Events, group);
                    if self.begun.elapsed() > STREAM_MAX || !may.await {
                        return None;
                    }
                }
            }
        }
    }
}

/// What changes in the group, as server-sent events named `change`, each a `ChangeView`. The first is `reload`. Comments keep it alive.
#[utoipa::path(get, path = "/groups/{group}/events", tag = "events", params(("group" = String, Path, description = "id or name")),
    responses((status = 200, body = ChangeView, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn events(
    State(state): State<WebState>,
    of: InGroup,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    stream_to(state, of.caller, Some(of.group.id), headers)
}

/// What changes in the appliance and in all its groups, as server-sent events named `change`, each a `ChangeView`. The first is `reload`.
/// Comments keep it alive.
#[utoipa::path(get, path = "/events", tag = "events",
    responses((status = 200, body = ChangeView, content_type = "text/event-stream"),
        (status = "default", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn appliance_events(
    State(state): State<WebState>,
    caller: Caller,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    stream_to(state, caller, None, headers)
}

fn stream_to(
    state: WebState,
    caller: Caller,
    group: Option<GroupId>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let place = state.hub().place(&caller).ok_or_else(|| {
        let detail = format!("{STREAMS_PER_CALLER_MAX} streams of yours are open on this server already: close one");
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "tooManyStreams", "Too many listeners", detail).retry_after(30)
    })?;
    let receiver = state.hub().listen().ok_or_else(|| {
        let detail = format!("{STREAMS_MAX} streams are open on this server already");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "tooManyStreams", "Too many listeners", detail).retry_after(30)
    })?;
    let mut check = tokio::time::interval(CHECK_EVERY);
    check.reset();
    let listener =
        Listener { state, group, headers, caller, receiver, check, begun: Instant::now(), first: true, _place: place };
    let events = stream::unfold(listener, |mut listener| async move {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(CHECK_EVERY).text("alive")).into_response();
    // Proxies that buffer would hold events back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_told() {
        let (own, other) = (GroupId::random(), GroupId::random());
        let of = |scope| Change { scope, kind: ChangeKind::Backup, id: "x".into(), rs: None };
        assert!(concerns(&of(ChangeScope::Group(own.clone())), Some(&own)));
        assert!(!concerns(&of(ChangeScope::Group(other)), Some(&own)));
        assert!(!concerns(&of(ChangeScope::Appliance), Some(&own)));
        assert!(concerns(&of(ChangeScope::Gone), Some(&own)));
        for scope in [ChangeScope::Group(own), ChangeScope::Appliance, ChangeScope::Gone] {
            assert!(concerns(&of(scope), None));
        }
    }
}
