//! `holdfast-bench`: the engine and its peers on the same files, in turn, in one run. Started by `scripts/bench`, which says how.

mod run;

use anyhow::{Result, bail};

fn main() -> Result<()> {
    holdfast_memory::bound_allocator(holdfast_memory::Program::Server);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    match arguments.split_first() {
        Some((word, [])) if word == "run" => runtime.block_on(run::run()),
        Some((word, rest)) if word == "op" => runtime.block_on(holdfast_bench::engine::op(rest)),
        _ => bail!("usage: holdfast-bench run; its settings are in scripts/bench"),
    }
}
