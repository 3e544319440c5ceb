//! Lists, page by page: whoever follows `Link` sees every element once.

use std::collections::BTreeSet;

use holdfast_domain::Role;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::world::{World, ok, op, refused};

#[tokio::test]
async fn whoever_follows_the_links_sees_everything_once() {
    let world = World::new().await;
    let group = format!("/groups/{}", world.group.name);
    let job = world.job().await;
    world.open_chain(&job.id, op(100, 1)).await;
    for t in 0..5 {
        world.snapshot(&job.id, op(105 + t, 2), 0, 1).await;
    }
    for n in 0..5 {
        world.metadb.create_group(&format!("other{n}-{}", world.group.name)).await.unwrap();
        world.key(Some(&world.group), Role::ReadOnly).await;
        let user = world.user(&format!("user{n}"), &[]).await;
        world.metadb.put_member(&world.group.id, &user.id, &[Role::ReadOnly]).await.unwrap();
        let invited = json!({ "email": format!("new{n}@example.org"), "roles": ["readOnly"] });
        ok(world.post(&format!("{group}/invitations"), invited).await).await;
        let joiner = world.user(&format!("joiner{n}"), &[]).await;
        world.metadb.request_join(&world.group.id, &joiner.id, "please").await.unwrap();
        let (_, token) = world.metadb.create_enroll_token(&world.group.id).await.unwrap();
        world.metadb.enroll(&token, "db", "0.1.0", &format!("instance{n}")).await.unwrap();
        if n > 0 {
            let deployment = world.deployment(&format!("rs{n}"), None).await;
            world.metadb.create_backup_job(&deployment, Vec::new()).await.unwrap();
        }
    }
    let lists = [
        "/groups".to_owned(),
        "/apiKeys".to_owned(),
        format!("{group}/apiKeys"),
        format!("{group}/members"),
        format!("{group}/invitations"),
        format!("{group}/joinRequests"),
        format!("{group}/agents"),
        format!("{group}/deployments"),
        format!("{group}/backups"),
        world.backup("/snapshots"),
    ];
    for list in lists {
        let whole = world.get(&list).await;
        let whole: Vec<String> = whole.as_array().unwrap().iter().map(ToString::to_string).collect();
        let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
        loop {
            let answer = world.call(Some(&world.admin), Method::GET, &format!("{list}{query}"), None).await;
            let link = answer.headers().get("link").map(|link| link.to_str().unwrap().to_owned());
            let page = ok(answer).await;
            let page = page.as_array().unwrap();
            assert!(page.len() <= 2, "{list}: {page:?}");
            seen.extend(page.iter().map(ToString::to_string));
            let Some(link) = link else { break };
            assert_eq!(page.len(), 2, "{list}: only the last page is short");
            query = link.strip_prefix('<').and_then(|rest| rest.strip_suffix(">; rel=\"next\"")).unwrap().to_owned();
        }
        assert_eq!(seen, whole, "{list}");
        assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), seen.len(), "{list}");
        assert!(list == "/apiKeys" || seen.len() >= 5, "{list}: {seen:?}");
        for bad in ["?cursor=nonsense", "?limit=x", "?page=2"] {
            let answer = world.call(Some(&world.admin), Method::GET, &format!("{list}{bad}"), None).await;
            refused(answer, StatusCode::BAD_REQUEST, "badRequest").await;
        }
    }
}
