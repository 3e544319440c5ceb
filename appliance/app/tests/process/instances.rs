//! Two instances behind a simple proxy, killed one after the other in the middle of everything: whoever uses the appliance notices nothing
//! but a retry.
//!
//! The proxy knows nothing of HTTP: it joins each connection to an instance that takes it, as a load balancer does. The clients do what the
//! web app does: reads and changes are sent again when the connection breaks, changes with their `Idempotency-Key`; the stream of events is
//! opened again.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Place, Running};

/// How often a request is sent again, and the pause before: together the ten seconds for which the web app asks again.
const TRIES_MAX: usize = 100;
const PAUSE: Duration = Duration::from_millis(100);
/// Longest time that anyone may wait for an answer, retries included: the request of an instance that died is taken over after five seconds.
const NOTICED_MAX: Duration = Duration::from_secs(9);
/// How long the clients work between two strikes.
const BETWEEN: Duration = Duration::from_secs(2);

/// Joins connections to whichever backend takes them, in turn.
struct Proxy {
    port: u16,
    backends: Arc<Mutex<Vec<SocketAddr>>>,
    task: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let backends: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
        let known = backends.clone();
        let task = tokio::spawn(async move {
            let turn = AtomicUsize::new(0);
            while let Ok((mut client, _)) = listener.accept().await {
                let all = known.lock().unwrap().clone();
                let first = turn.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    for n in 0..all.len() {
                        if let Ok(mut server) = TcpStream::connect(all[(first + n) % all.len()]).await {
                            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { port, backends, task }
    }

    fn serve(&self, all: &[SocketAddr]) {
        *self.backends.lock().unwrap() = all.to_vec();
    }
}

/// What the clients noticed.
#[derive(Debug, Default)]
struct Noticed {
    answers: AtomicUsize,
    retries: AtomicUsize,
    longest: Mutex<Duration>,
    wrong: Mutex<Vec<String>>,
}

/// Someone with a session or a key, who sends again as the web app does.
#[derive(Clone)]
struct Person {
    http: Client,
    base: String,
    cookie: Option<String>,
    key: Option<String>,
    noticed: Arc<Noticed>,
}

impl Person {
    async fn send_once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> reqwest::Result<Response> {
        let mut request =
            self.http.request(method, format!("{}{path}", self.base)).header("sec-fetch-site", "same-origin");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(once) = once {
            request = request.header("idempotency-key", once);
        }
        request.send().await
    }

    /// The answer, after as many attempts as it takes; also how many that were.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        once: Option<&str>,
    ) -> (StatusCode, Value, usize) {
        let begun = Instant::now();
        for attempt in 0..TRIES_MAX {
            if attempt > 0 {
                self.noticed.retries.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            let Ok(answer) = self.send_once(method.clone(), path, body, once).await else { continue };
            let status = answer.status();
            let under_way = status == StatusCode::CONFLICT && answer.headers().contains_key("retry-after");
            // An answer that breaks off in its body is no answer.
            let Ok(bytes) = answer.bytes().await else { continue };
            if under_way || [502, 503, 504].contains(&status.as_u16()) {
                continue;
            }
            self.noticed.answers.fetch_add(1, Ordering::Relaxed);
            let mut longest = self.noticed.longest.lock().unwrap();
            *longest = begun.elapsed().max(*longest);
            return (status, serde_json::from_slice(&bytes).unwrap_or_default(), attempt);
        }
        panic!("{path} was not answered in {TRIES_MAX} attempts");
    }

    /// What must be answered well, whoever dies.
    async fn get(&self, path: &str) -> Value {
        let (status, value, _) = self.send(Method::GET, path, None, None).await;
        if status != StatusCode::OK {
            self.noticed.wrong.lock().unwrap().push(format!("GET {path}: {status} {value}"));
        }
        value
    }
}

/// A client that reads the group's events, as `EventSource` does: opened again whenever it ends.
fn listen(person: Person, events: Arc<Mutex<Vec<Value>>>, opened: Arc<AtomicUsize>) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            if let Ok(mut answer) = person.send_once(Method::GET, "/groups/shop/events", None, None).await
                && answer.status() == StatusCode::OK
            {
                opened.fetch_add(1, Ordering::Relaxed);
                let mut text = String::new();
                while let Ok(Some(chunk)) = answer.chunk().await {
                    text.push_str(&String::from_utf8_lossy(&chunk));
                    while let Some((event, rest)) = text.split_once("\n\n") {
                        let data = event.lines().find_map(|line| line.strip_prefix("data: "));
                        events.lock().unwrap().extend(data.and_then(|data| serde_json::from_str(data).ok()));
                        text = rest.to_owned();
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    })
}

/// Reads what pages read until it is told to stop.
fn read(person: Person, stop: Arc<AtomicBool>) -> JoinHandle<usize> {
    tokio::spawn(async move {
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            let session = person.get("/sessions/current").await;
            if session["user"]["email"] != "ada@example.org" {
                person.noticed.wrong.lock().unwrap().push(format!("another session: {session}"));
            }
            for path in ["/groups", "/groups/shop/overview", "/groups/shop/agents", "/jobs"] {
                person.get(path).await;
            }
            rounds += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        rounds
    })
}

/// What a writer made: names of groups, with the key and the answer of each.
struct Made {
    name: String,
    key: String,
    answer: Option<Value>,
}

/// Makes groups, one after the other, each once.
fn write(person: Person, of: usize, stop: Arc<AtomicBool>) -> JoinHandle<Vec<Made>> {
    tokio::spawn(async move {
        let mut all = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let name = format!("made-{of}-{}", all.len());
            let key = format!("key-of-{name}");
            let (status, value, attempts) =
                person.send(Method::POST, "/groups", Some(&json!({ "name": name })), Some(&key)).await;
            // The one gap: an instance that died between making it and noting its answer. The name is taken then, by this very request.
            let gap = attempts > 0 && status == StatusCode::CONFLICT && value["code"] == "groupExists";
            if status != StatusCode::CREATED && !gap {
                person.noticed.wrong.lock().unwrap().push(format!("POST {name}: {status} {value}"));
            }
            all.push(Made { name, key, answer: (!gap).then_some(value) });
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        all
    })
}

async fn claim(person: &mut Person, code: &str) {
    let account = json!({
        "code": code, "email": "ada@example.org", "name": "Ada", "password": "correct horse battery", "group": "shop",
    });
    let answer = person.send_once(Method::POST, "/setup/claim", Some(&account), None).await.unwrap();
    assert_eq!(answer.status(), StatusCode::CREATED);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    person.cookie = Some(cookie.split(';').next().unwrap().to_owned());
}

fn addr(ready: &Value) -> SocketAddr {
    ready["web"].as_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_instances_is_killed_and_nobody_notices_but_a_retry() {
    let place = Place::new();
    let _mongod = place.mongod().await;
    let key = place.init();
    let proxy = Proxy::start().await;
    let url = format!("https://localhost:{}", proxy.port);
    let start = |ready: &str| -> Running { place.start(&["web", "--web-public-url", &url], ready) };
    let (mut first, mut second) = (start("first.json"), start("second.json"));
    let both = [addr(&place.ready("first.json").await), addr(&place.ready("second.json").await)];
    proxy.serve(&both);
    let noticed = Arc::<Noticed>::default();
    let base = format!("{url}/api/v1");
    let mut ada = Person { http: place.http(), base: base.clone(), cookie: None, key: None, noticed: noticed.clone() };
    let code = std::fs::read_to_string(place.path("data/setup.code")).unwrap();
    claim(&mut ada, code.trim()).await;
    let program = Person { key: Some(key), cookie: None, http: place.http(), ..ada.clone() };

    let (stop, events, opened) = (Arc::<AtomicBool>::default(), Arc::default(), Arc::<AtomicUsize>::default());
    // Each has connections of its own, so that both instances have some of each kind.
    let own = |person: &Person| Person { http: place.http(), ..person.clone() };
    let readers: Vec<_> = (0..3).map(|_| read(own(&ada), stop.clone())).collect();
    let writers: Vec<_> = (0..2).map(|n| write(own(&program), n, stop.clone())).collect();
    let listeners: Vec<_> = (0..2).map(|_| listen(own(&ada), Arc::clone(&events), opened.clone())).collect();
    tokio::time::sleep(BETWEEN).await;
    assert_eq!(noticed.retries.load(Ordering::Relaxed), 0, "before anyone dies nothing is sent twice");

    // SIGKILL, in the middle.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let dead_at = Instant::now();
    tokio::time::sleep(BETWEEN).await;
    // What changes now is heard by the streams that were opened again.
    let before = events.lock().unwrap().len();
    let deployment = json!({ "uri": "mongodb://127.0.0.1:1/?replicaSet=rs0" });
    let (status, made, _) = program.send(Method::POST, "/groups/shop/deployments", Some(&deployment), Some("d")).await;
    assert!(status.is_success(), "{status} {made}");
    let heard = |events: &Mutex<Vec<Value>>| {
        events.lock().unwrap().iter().skip(before).any(|event| event["kind"] == "deployment")
    };
    while !heard(&events) {
        assert!(dead_at.elapsed() < Duration::from_secs(30), "no stream told of the change: {events:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // The first comes back, at another port; then the other dies.
    first = start("again.json");
    proxy.serve(&[addr(&place.ready("again.json").await), both[1]]);
    tokio::time::sleep(BETWEEN).await;
    second.child.kill().unwrap();
    second.child.wait().unwrap();
    tokio::time::sleep(BETWEEN).await;
    stop.store(true, Ordering::Relaxed);

    for reader in readers {
        assert!(reader.await.unwrap() > 20, "a reader stood still");
    }
    let mut all = Vec::new();
    for writer in writers {
        all.extend(writer.await.unwrap());
    }
    for listener in listeners {
        listener.abort();
    }
    assert_eq!(*noticed.wrong.lock().unwrap(), Vec::<String>::new());
    let longest = *noticed.longest.lock().unwrap();
    let (answers, retries) = (noticed.answers.load(Ordering::Relaxed), noticed.retries.load(Ordering::Relaxed));
    println!("{answers} answers, {retries} attempts again, the longest wait {longest:?}, {} groups made", all.len());
    assert!(retries > 0, "nobody was in the middle of anything: the test shows nothing");
    assert!(longest < NOTICED_MAX, "someone waited for {longest:?}");
    assert!(opened.load(Ordering::Relaxed) > 2, "streams were opened again");
    // Everything was made once, and the answers of instances that are dead are still given.
    let groups = program.get("/groups").await;
    let names: Vec<&str> = groups.as_array().unwrap().iter().map(|group| group["name"].as_str().unwrap()).collect();
    for made in &all {
        assert_eq!(names.iter().filter(|name| **name == made.name).count(), 1, "{}", made.name);
        let Some(answer) = &made.answer else { continue };
        let (status, again, _) =
            program.send(Method::POST, "/groups", Some(&json!({ "name": made.name })), Some(&made.key)).await;
        assert_eq!((status, &again["id"]), (StatusCode::CREATED, &answer["id"]), "{}", made.name);
    }
    first.term();
    assert!(first.ended().await.success());
}
