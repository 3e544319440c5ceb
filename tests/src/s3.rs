//! A real S3 server (moto) on a free port, with one bucket.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Name of the bucket.
pub const BUCKET: &str = "packs";

/// Ends with this value.
pub struct S3Server {
    server: Child,
    port: u16,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl S3Server {
    /// Starts it by `scripts/s3-server`, which may download it the first time, and makes the bucket.
    ///
    /// # Panics
    /// It does not start within a minute: a test cannot go on without it.
    pub async fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/s3-server");
        let output = Command::new(script).stderr(Stdio::inherit()).output().expect("scripts/s3-server is a program");
        assert!(output.status.success(), "scripts/s3-server failed");
        let program = String::from_utf8(output.stdout).expect("a path");
        let port = holdfast_mongod::free_port().expect("a free port");
        let mut command = Command::new(program.trim());
        command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { server: command.spawn().expect("the S3 server starts"), port };
        let bucket = format!("{}/{BUCKET}", server.endpoint());
        for _ in 0..600 {
            if reqwest::Client::new().put(&bucket).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the S3 server does not start");
    }

    /// Its URL. Any credentials are taken.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
