//! Samples of the blockstore and the appliance's log, against a real server.

use crate::support::*;
use holdfast_metadb::{BlockstoreNumbers, CacheAnswers, LogFilter, LogLevel, LogSource, NewLogLine};

const DAY: i64 = 86_400;
/// A multiple of six hours.
const NOW: i64 = 1_800_000_000 - 1_800_000_000 % 21_600;

fn numbers(stored: u64) -> BlockstoreNumbers {
    BlockstoreNumbers { stored_bytes: stored, disk_bytes: Some(stored), ..BlockstoreNumbers::default() }
}

#[tokio::test]
async fn a_span_has_one_sample_and_the_answers_of_all_caches() {
    let server = Server::start().await;
    let meta = &server.meta;
    let answers = CacheAnswers { hits: 3, misses: 1 };
    // Three daemons within five minutes, two of them at once.
    let (first, second) = (numbers(1), numbers(2));
    let (one, two) = tokio::join!(
        meta.add_blockstore_sample(NOW, &first, answers),
        meta.add_blockstore_sample(NOW, &second, answers)
    );
    one.and(two).unwrap();
    meta.add_blockstore_sample(NOW + 299, &numbers(3), answers).await.unwrap();
    meta.add_blockstore_sample(NOW + 300, &numbers(4), answers).await.unwrap();
    let fine = meta.blockstore_samples(NOW + 600, NOW, NOW + 600).await.unwrap();
    assert_eq!(fine.iter().map(|s| s.at).collect::<Vec<_>>(), [NOW, NOW + 300]);
    assert!([1, 2].contains(&fine[0].numbers.stored_bytes), "the first one's numbers: {fine:?}");
    assert_eq!((fine[0].cache, fine[1].cache), (CacheAnswers { hits: 9, misses: 3 }, answers));
    // Of long ago the coarse ones are read, which hold the answers of all their time.
    let coarse = meta.blockstore_samples(NOW + 600, NOW - 30 * DAY, NOW + 600).await.unwrap();
    assert_eq!((coarse.len(), coarse[0].at, coarse[0].cache), (1, NOW, CacheAnswers { hits: 12, misses: 4 }));
}

#[tokio::test]
async fn old_samples_go() {
    let server = Server::start().await;
    let meta = &server.meta;
    for days in [800, 20, 0] {
        meta.add_blockstore_sample(NOW - days * DAY, &numbers(1), CacheAnswers::default()).await.unwrap();
    }
    let all = meta.blockstore_samples(NOW, NOW - 900 * DAY, NOW).await.unwrap();
    assert_eq!(all.iter().map(|s| (NOW - s.at) / DAY).collect::<Vec<_>>(), [20, 0], "two years of coarse ones");
    let fine = meta.blockstore_samples(NOW, NOW - 7 * DAY, NOW).await.unwrap();
    assert_eq!(fine.len(), 1);
}

#[tokio::test]
async fn the_log_is_bounded_and_in_order_over_programs() {
    let server = Server::start().await;
    let meta = &server.meta;
    assert!(meta.log_lines(&LogFilter::default(), 10).await.unwrap().is_empty(), "nobody has logged yet");
    meta.create_logs().await.unwrap();
    let line = |at_millis: i64, message: &str| NewLogLine {
        at_millis,
        level: LogLevel::Info,
        target: "t".into(),
        message: message.into(),
        fields: String::new(),
    };
    let source = |program: &str| LogSource { program: program.into(), instance: "1".into() };
    meta.add_log_lines(&source("web"), &[line(1_000, "a"), line(3_000, "c")]).await.unwrap();
    meta.add_log_lines(&source("daemon"), &[line(2_000, "b"), line(4_000, "d")]).await.unwrap();
    meta.add_log_lines(&source("daemon"), &[]).await.unwrap();
    let all = meta.log_lines(&LogFilter::default(), 10).await.unwrap();
    assert_eq!(all.iter().map(|l| l.message.as_str()).collect::<Vec<_>>(), ["d", "c", "b", "a"]);
    let before = LogFilter { before: Some(all[1].id.clone()), ..LogFilter::default() };
    assert_eq!(meta.log_lines(&before, 1).await.unwrap()[0].message, "b");
    let stats = meta.database().run_command(bson::doc! { "collStats": "logs" }).await.unwrap();
    assert!(stats.get_bool("capped").unwrap() && stats.get_i32("maxSize").unwrap() > 0);
}
