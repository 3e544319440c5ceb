//! `holdfast-fuzz`: under `scripts/fuzz` a libFuzzer program for the target that `HOLDFAST_FUZZ_TARGET` names; built otherwise, it lists the
//! targets, writes seeds, and replays inputs.
#![cfg_attr(feature = "libfuzzer", no_main)]
#![cfg_attr(feature = "libfuzzer", allow(unsafe_code, reason = "libFuzzer calls an exported symbol"))]

#[cfg(feature = "libfuzzer")]
mod fuzzer {
    use std::sync::LazyLock;

    static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
        let name = std::env::var("HOLDFAST_FUZZ_TARGET").expect("HOLDFAST_FUZZ_TARGET names a target");
        holdfast_fuzz::target(&name).expect("HOLDFAST_FUZZ_TARGET names a target that exists").1
    });

    libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
}

/// `list`; `seeds FOLDER`: writes a folder of seeds per target; `replay TARGET FILE...`.
#[cfg(not(feature = "libfuzzer"))]
fn main() -> anyhow::Result<()> {
    use anyhow::{Context as _, bail};
    use std::path::Path;

    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["list"] => {
            for (name, ..) in holdfast_fuzz::targets() {
                println!("{name}");
            }
        }
        ["seeds", folder] => {
            for (name, _, seeds) in holdfast_fuzz::targets() {
                let folder = Path::new(folder).join(name);
                std::fs::create_dir_all(&folder)?;
                for seed in seeds() {
                    std::fs::write(folder.join(&blake3::hash(&seed).to_hex()[..16]), seed)?;
                }
            }
        }
        ["replay", name, ref files @ ..] => {
            let (_, run, _) = holdfast_fuzz::target(name).with_context(|| format!("there is no target {name}"))?;
            for file in files {
                run(&std::fs::read(file)?);
                println!("{file}: fine");
            }
        }
        _ => bail!("usage: holdfast-fuzz list | seeds FOLDER | replay TARGET FILE..."),
    }
    Ok(())
}
