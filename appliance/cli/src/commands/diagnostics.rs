//! `holdfast diagnostics`.

use std::path::Path;

use serde_json::json;

use crate::{
    client::Client,
    output::{Output, bytes},
};

pub(crate) async fn run(file: &Path, client: &Client, output: &Output) -> anyhow::Result<()> {
    let size = client.download(&["diagnostics"], file).await?;
    output.value(&json!({ "file": file, "bytes": size }), |value| {
        format!("{} ({}): states, settings and the log; no secret is in it", file.display(), bytes(&value["bytes"]))
    });
    Ok(())
}
