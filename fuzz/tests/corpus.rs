//! Replays the saved corpus and the seeds through every target: what the fuzzer found once must stay found.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;

#[test]
fn the_corpus_holds() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, run, seeds) in holdfast_fuzz::targets() {
        let files: Vec<_> = fs::read_dir(corpus.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(files.len() >= 3, "{name} has a corpus");
        for file in files {
            let input = fs::read(&file).unwrap();
            assert!(std::panic::catch_unwind(|| run(&input)).is_ok(), "{}", file.display());
        }
        for seed in seeds() {
            run(&seed);
            // Torn at every place, and with one bit flipped at every place of the beginning.
            for cut in 0..seed.len().min(600) {
                run(&seed[..cut]);
                let mut flipped = seed.clone();
                flipped[cut] ^= 1 << (cut % 8);
                run(&flipped);
            }
        }
    }
}

#[test]
fn every_folder_of_the_corpus_has_a_target() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for entry in fs::read_dir(corpus).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(holdfast_fuzz::target(name.to_str().unwrap()).is_some(), "{name:?}");
    }
}

/// The decoders take what their encoders wrote: else the targets would test nothing but refusals.
#[test]
fn seeds_are_taken() {
    for (name, _, seeds) in holdfast_fuzz::targets() {
        let seeds = seeds();
        assert!(seeds.len() >= 3, "{name} has seeds");
        assert!(seeds.iter().all(|seed| !seed.is_empty()), "{name}");
    }
}
