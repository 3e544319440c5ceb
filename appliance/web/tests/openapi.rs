//! The description of the API: valid, whole, and the committed copy is the present one.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

fn description() -> Value {
    serde_json::to_value(holdfast_web::openapi()).unwrap()
}

#[test]
fn the_committed_copy_is_current() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let mut text = serde_json::to_string_pretty(&description()).unwrap();
    text.push('\n');
    if std::env::var_os("HOLDFAST_WRITE_OPENAPI").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(committed == text, "run HOLDFAST_WRITE_OPENAPI=1 cargo test -p holdfast-web --test openapi");
}

#[test]
fn every_operation_is_described() {
    let api = description();
    assert!(api["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(api["info"]["title"], "Holdfast");
    assert_eq!(api["security"][0]["apiKey"], serde_json::json!([]));
    let mut ids = BTreeSet::new();
    let mut operations = 0;
    for (path, item) in api["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            operations += 1;
            let name = format!("{method} {path}");
            assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{name}: its id is used twice");
            assert!(operation["summary"].is_string(), "{name} says nothing about itself");
            assert!(operation["responses"].get("default").is_some(), "{name} does not describe its errors");
            let success = operation["responses"].as_object().unwrap().keys().any(|status| status.starts_with('2'));
            assert!(success, "{name} does not describe its success");
            let named: BTreeSet<&str> =
                path.split('/').filter_map(|p| p.strip_prefix('{')?.strip_suffix('}')).collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let described: BTreeSet<String> = parameters
                .iter()
                .filter(|p| p["in"] == "path")
                .map(|p| p["name"].as_str().unwrap().to_owned())
                .collect();
            assert_eq!(named, described.iter().map(String::as_str).collect(), "{name}");
        }
    }
    assert!(operations >= 60, "{operations} operations");
}

#[test]
fn every_reference_leads_somewhere() {
    let api = description();
    let mut stack = vec![&api];
    let mut references = 0;
    while let Some(value) = stack.pop() {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    references += 1;
                    let pointer = to.strip_prefix('#').unwrap();
                    assert!(api.pointer(pointer).is_some(), "{to} leads nowhere");
                }
                stack.extend(map.values());
            }
            Value::Array(all) => stack.extend(all),
            _ => {}
        }
    }
    assert!(references > 30);
}

#[test]
fn requests_refuse_unknown_fields() {
    let api = description();
    for name in ["NewGroup", "NewDeployment", "NewRestore", "TakeSnapshot", "StartBackup", "ChangeSettings", "NewKey"] {
        let schema = &api["components"]["schemas"][name];
        assert_eq!(schema["additionalProperties"], false, "{name}: {schema}");
    }
}
