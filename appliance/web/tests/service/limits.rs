//! How much one caller may ask, and what every answer of the API tells browsers.

use holdfast_metadb::Role;
use reqwest::{Method, StatusCode};

use crate::world::{World, ok, refused};

#[tokio::test]
async fn limits_of_an_address_that_shows_nobody() {
    let world = World::new().await;
    let wrong = Some("hf_nothing");
    let asked = (0..600).map(|_| world.call(wrong, Method::GET, "/groups", None));
    let mut slowed = 0;
    for answer in futures::future::join_all(asked).await {
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            slowed += 1;
            assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() >= 1);
            let said = refused(answer, StatusCode::TOO_MANY_REQUESTS, "tooManyRequests").await;
            assert!(said.contains("go on in"), "{said}");
        } else {
            refused(answer, StatusCode::UNAUTHORIZED, "apiKey").await;
        }
    }
    assert!(slowed > 0);
    // A neighbour at the same address who shows a key is not slowed.
    ok(world.call(Some(&world.admin), Method::GET, "/groups", None).await).await;
}

#[tokio::test]
async fn limits_of_open_streams_are_each_persons_own() {
    let world = World::new().await;
    let path = format!("/groups/{}/events", world.group.name);
    let (one, two) = (world.key(None, Role::ReadOnly).await, world.key(None, Role::ReadOnly).await);
    let mut open = Vec::new();
    let refusal = loop {
        let answer = world.call(Some(&one), Method::GET, &path, None).await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        open.push(answer);
        assert!(open.len() <= 100, "one caller takes every stream");
    };
    assert!(refusal.headers().contains_key("retry-after"));
    refused(refusal, StatusCode::TOO_MANY_REQUESTS, "tooManyStreams").await;
    assert_eq!(world.call(Some(&two), Method::GET, &path, None).await.status(), StatusCode::OK);
    // What is closed is free again.
    open.clear();
    for _ in 0..100 {
        if world.call(Some(&one), Method::GET, &path, None).await.status() == StatusCode::OK {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    panic!("closed streams are still counted");
}

#[tokio::test]
async fn limits_of_what_browsers_make_of_an_answer() {
    let world = World::new().await;
    for path in ["/groups", "/nothing", "//api/v1/openapi.json", "//healthz"] {
        let answer = world.call(Some(&world.admin), Method::GET, path, None).await;
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        assert_eq!(
            header("content-security-policy").as_deref(),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{path}"
        );
        assert_eq!(header("cache-control").as_deref(), Some("no-store"), "{path}");
        assert_eq!(header("x-content-type-options").as_deref(), Some("nosniff"), "{path}");
        assert_eq!(header("referrer-policy").as_deref(), Some("no-referrer"), "{path}");
    }
}
