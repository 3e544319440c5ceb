//! The monitoring part against real servers: what is found, what is measured, what a killed member looks like, what is spooled.

use std::{
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bson::{Document, doc};
use holdfast_agent_api::{HostEventKind, HostRole};
use holdfast_mongod::{Member, Mongod, MongodOptions, SetSettings, free_port, initiate, wait_primary};
use holdfast_tests::{ReplicaSet, ReplicaSetOptions, mongod_binary};

use crate::support::{Agent, wait, web::Web};

const PRIMARY_WAIT: Duration = Duration::from_secs(60);

async fn server(dir: &Path, name: &str, set: &str, arguments: &[&str]) -> Mongod {
    let mut options = MongodOptions::plain(mongod_binary(), dir.join(name), free_port().unwrap());
    options.repl_set = Some(set.to_owned());
    options.oplog_size_mb = Some(990);
    options.extra_args.extend(arguments.iter().map(ToString::to_string));
    Mongod::start(options).await.unwrap()
}

fn host(server: &Mongod) -> String {
    format!("127.0.0.1:{}", server.port())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_with_an_arbiter_and_a_hidden_member_is_found_and_measured() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b, c) = (
        server(dir.path(), "a", "mon", &[]).await,
        server(dir.path(), "b", "mon", &[]).await,
        server(dir.path(), "c", "mon", &[]).await,
    );
    let members = vec![
        doc! { "_id": 0, "host": host(&a) },
        doc! { "_id": 1, "host": host(&b), "hidden": true, "priority": 0, "secondaryDelaySecs": 7 },
        doc! { "_id": 2, "host": host(&c), "arbiterOnly": true },
    ];
    let config = doc! { "_id": "mon", "members": members };
    a.client().database("admin").run_command(doc! { "replSetInitiate": config }).await.unwrap();
    wait_primary(&a.client(), PRIMARY_WAIT).await.unwrap();
    let shop = a.client().database("shop");
    shop.collection::<Document>("items").insert_many((0..500).map(|n| doc! { "n": n })).await.unwrap();

    // One host is told; the others are found.
    let web = Web::start(&format!("mongodb://{}/?directConnection=true", host(&a))).await;
    let agent = Agent::start_monitoring(&web, &dir.path().join("state"));
    let found = || async {
        let hosts = web.hosts();
        hosts.len() == 3 && hosts.values().all(|h| h.up) && !web.values(&host(&a), "", "OPCOUNTER_CMD").is_empty()
    };
    wait("three hosts, up, with rates", found).await;
    let hosts = web.hosts();
    let of = |server: &Mongod| hosts[&host(server)].clone();
    assert_eq!((of(&a).state.as_str(), of(&a).role, of(&a).set.as_deref()), ("PRIMARY", HostRole::Member, Some("mon")));
    assert!(of(&b).hidden && of(&b).delay_seconds == 7 && of(&b).priority == Some(0.0), "{:?}", of(&b));
    assert!(of(&c).arbiter && of(&c).state == "ARBITER", "{:?}", of(&c));
    let last = |server: &Mongod, metric: &str| web.values(&host(server), "", metric).last().map(|(_, v)| *v);
    for metric in [
        "CONNECTIONS",
        "CACHE_USED_BYTES",
        "TICKETS_AVAILABLE_READS",
        "OPLOG_MASTER_TIME",
        "OPLOG_SIZE_MAX_BYTES",
        "NETWORK_BYTES_OUT",
        "MEMORY_RESIDENT",
        "DB_DATA_SIZE_TOTAL",
        "OPLOG_SLAVE_LAG_MASTER_TIME",
        "PROCESS_CPU_USER",
        "SYSTEM_NORMALIZED_CPU_USER",
        "SYSTEM_MEMORY_AVAILABLE",
        "OP_EXECUTION_TIME_COMMANDS",
        "UPTIME",
    ] {
        assert!(last(&a, metric).is_some_and(|v| v >= 0.0), "{metric}: {:?}", last(&a, metric));
    }
    assert!(last(&c, "CONNECTIONS").is_some() && last(&c, "OPLOG_MASTER_TIME").is_none(), "an arbiter has no oplog");
    assert_eq!(last(&b, "REPLICATION_DELAY"), Some(7.0));
    let objects = web.values(&host(&a), "db/shop", "DATABASE_OBJECT_COUNT");
    assert_eq!(objects.last().map(|(_, v)| *v), Some(500.0));
    wait("facts", || async { web.facts(&host(&a)).is_some() }).await;
    let facts = web.facts(&host(&a)).unwrap();
    assert!(facts.startup_warnings.iter().any(|w| w.contains("Access control")), "{:?}", facts.startup_warnings);
    assert!(facts.unauthenticated && !facts.exposed, "it listens on this machine alone");
    assert!(facts.privileges.len() > 8 && facts.privileges.iter().all(|p| p.granted), "{:?}", facts.privileges);
    assert!(facts.command_line["parsed"]["replication"]["replSet"].is_string(), "{}", facts.command_line);
    assert!(web.pings(&host(&a)) >= 1);

    // A member that is taken out of the set vanishes, and is not looked for any more.
    let current = a.client().database("admin").run_command(doc! { "replSetGetConfig": 1 }).await.unwrap();
    let mut next = current.get_document("config").unwrap().clone();
    let kept: Vec<bson::Bson> = next.get_array("members").unwrap().iter().take(2).cloned().collect();
    next.insert("members", kept);
    next.insert("version", next.get_i32("version").unwrap() + 1);
    a.client().database("admin").run_command(doc! { "replSetReconfig": next }).await.unwrap();
    let gone = || async { web.events(&host(&c)).iter().any(|(_, kind)| *kind == HostEventKind::Vanished) };
    wait("the arbiter vanishes", gone).await;
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sharded_cluster_is_found_from_one_member_of_a_shard() {
    let dir = tempfile::tempdir().unwrap();
    let config = server(dir.path(), "config", "conf", &["--configsvr"]).await;
    let set = doc! { "_id": "conf", "configsvr": true, "members": [{ "_id": 0, "host": host(&config) }] };
    config.client().database("admin").run_command(doc! { "replSetInitiate": set }).await.unwrap();
    wait_primary(&config.client(), PRIMARY_WAIT).await.unwrap();
    let mut shards = Vec::new();
    for name in ["s0", "s1"] {
        let shard = server(dir.path(), name, name, &["--shardsvr"]).await;
        initiate(&shard.client(), name, &[Member::local(shard.port())], SetSettings::default()).await.unwrap();
        wait_primary(&shard.client(), PRIMARY_WAIT).await.unwrap();
        // What a router would ask the config servers to do.
        let add = doc! {
            "_configsvrAddShard": format!("{name}/{}", host(&shard)), "name": name, "writeConcern": { "w": "majority" },
        };
        config.client().database("admin").run_command(add).await.unwrap();
        shards.push(shard);
    }
    let routers = config.client().database("config").collection::<Document>("mongos");
    routers.insert_one(doc! { "_id": "127.0.0.1:9", "ping": bson::DateTime::now() }).await.unwrap();
    routers.insert_one(doc! { "_id": "old:9", "ping": bson::DateTime::from_millis(0) }).await.unwrap();

    let web = Web::start(&format!("mongodb://{}/?directConnection=true", host(&shards[0]))).await;
    let agent = Agent::start_monitoring(&web, &dir.path().join("state"));
    wait("router, config server and two shards", || async { web.hosts().len() == 4 }).await;
    let hosts = web.hosts();
    let config_host = &hosts[&host(&config)];
    assert_eq!((config_host.role, config_host.set.as_deref(), config_host.up), (HostRole::Config, Some("conf"), true));
    for (shard, name) in shards.iter().zip(["s0", "s1"]) {
        let found = &hosts[&host(shard)];
        assert_eq!(
            (found.role, found.shard.as_deref(), found.state.as_str()),
            (HostRole::Shard, Some(name), "PRIMARY")
        );
        assert!(found.cluster.is_some() && found.cluster == config_host.cluster);
    }
    // A router that does not answer is there, and down; one that was not heard of for long is not.
    let router = &hosts["127.0.0.1:9"];
    assert_eq!((router.role, router.up, router.state.as_str()), (HostRole::Mongos, false, "DOWN"));
    agent.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_member_is_a_gap_and_never_a_spike_and_delays_nobody() {
    let mut set = ReplicaSet::start(2, ReplicaSetOptions::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let web = Web::start(&set.uri()).await;
    let agent = Agent::start_monitoring(&web, &dir.path().join("state"));
    let hosts = set.hosts();
    let primary = set.primary().await.unwrap();
    let victim = 1 - primary;
    let count = |host: &str| web.values(host, "", "OPCOUNTER_CMD").len();
    wait("rates of both", || async { hosts.iter().all(|h| count(h) >= 2) }).await;
    set.kill_member(victim).await.unwrap();
    let killed = holdfast_now();
    let down = || async { web.events(&hosts[victim]).iter().any(|(_, kind)| *kind == HostEventKind::Down) };
    wait("the member is down", down).await;
    let before = count(&hosts[primary]);
    wait("the other one is read as before", || async { count(&hosts[primary]) >= before + 3 }).await;
    set.restart_member(victim).await.unwrap();
    let up = holdfast_now();
    let back = || async { web.values(&hosts[victim], "", "OPCOUNTER_CMD").iter().any(|(at, _)| *at > up + 15_000) };
    wait("rates of the member again", back).await;
    let kinds: Vec<_> = web.events(&hosts[victim]).into_iter().map(|(_, kind)| kind).collect();
    assert!(kinds.contains(&HostEventKind::Up) && kinds.contains(&HostEventKind::Restarted), "{kinds:?}");
    for metric in ["OPCOUNTER_CMD", "NETWORK_BYTES_IN", "CONNECTIONS_CREATED", "CONNECTIONS"] {
        let values = web.values(&hosts[victim], "", metric);
        // A look that had begun when it was killed may still have been answered.
        assert!(!values.iter().any(|(at, _)| (killed + 1_000..up).contains(at)), "{metric} while it was down");
        assert!(values.iter().all(|(_, v)| (0.0..10_000_000.0).contains(v)), "{metric}: {values:?}");
    }
    // The other one was never further apart than a late look.
    let times: Vec<i64> = web.values(&hosts[primary], "", "CONNECTIONS").into_iter().map(|(at, _)| at).collect();
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] < 25_000), "{times:?}");
    agent.stop().await;
}

fn holdfast_now() -> i64 {
    bson::DateTime::now().timestamp_millis()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_found_while_no_server_answers_is_sent_later_and_once() {
    let set = ReplicaSet::start(1, ReplicaSetOptions::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (web, state) = (Web::start(&set.uri()).await, dir.path().join("state"));
    let agent = Agent::start_monitoring(&web, &state);
    let host = set.hosts().remove(0);
    let count = || web.values(&host, "", "CONNECTIONS").len();
    wait("measurements", || async { count() >= 2 }).await;
    web.down.store(true, Ordering::SeqCst);
    let (known, sent) = (count(), web.seen.lock().unwrap().sent);
    let spooled = || async { std::fs::read_dir(state.join("monitoring")).unwrap().count() >= 3 };
    wait("reports wait on disk", spooled).await;
    // Killed in between, the agent goes on with what its spool holds.
    agent.kill();
    web.down.store(false, Ordering::SeqCst);
    let agent = Agent::start_monitoring(&web, &state);
    wait("all of them arrive", || async { count() >= known + 3 }).await;
    assert!(web.seen.lock().unwrap().sent > sent);
    let times: Vec<i64> = web.values(&host, "", "CONNECTIONS").into_iter().map(|(at, _)| at).collect();
    let mut once = times.clone();
    once.dedup();
    assert_eq!(times, once, "no time twice");
    let began = Instant::now();
    agent.stop().await;
    assert!(began.elapsed() < Duration::from_secs(15));
}
