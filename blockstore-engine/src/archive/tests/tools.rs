//! The system's own `tar` and `zstd` take what we make.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::fake::fake;
use super::*;

fn run(command: &mut Command) -> String {
    let output = command.env("LC_ALL", "C.UTF-8").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn assert_extracted(folder: &Path, files: &[FakeFile]) {
    for file in files {
        let path = folder.join(&file.path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, file.mode & 0o777);
        assert!(fs::read(&path).unwrap() == file.read(0..file.size), "{}", file.path);
    }
}

#[tokio::test]
async fn tar_and_zstd_of_the_system_accept_every_format() {
    let mut files = varied();
    // So that a test that does not run as root can read it back.
    files[2].mode = 0o400;
    let source = fake(files.clone());
    let folder = tempfile::tempdir().unwrap();
    let mut listings = Vec::new();
    for format in [ArchiveFormat::Tar, ArchiveFormat::TarZst, ArchiveFormat::TarGz] {
        let archive = folder.path().join(format!("a.{format}"));
        fs::write(&archive, whole(&plan(&source, format).await).await).unwrap();
        listings.push(run(Command::new("tar").arg("-tvf").arg(&archive)));
        let target = folder.path().join(format.to_string().replace('.', "-"));
        fs::create_dir(&target).unwrap();
        run(Command::new("tar").arg("-xpf").arg(&archive).arg("-C").arg(&target));
        assert_extracted(&target, &files);
    }
    assert!(listings.iter().all(|listing| *listing == listings[0]));
    assert!(listings[0].contains("WiredTiger.wt") && listings[0].contains("größe"));
    run(Command::new("zstd").args(["-q", "-t"]).arg(folder.path().join("a.tar.zst")));
    run(Command::new("zstd")
        .args(["-q", "-d", "-o"])
        .arg(folder.path().join("b.tar"))
        .arg(folder.path().join("a.tar.zst")));
    assert!(fs::read(folder.path().join("b.tar")).unwrap() == fs::read(folder.path().join("a.tar")).unwrap());
}
