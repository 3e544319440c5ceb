//! The one thread that starts children.
//!
//! The kernel sends the parent-death signal when the *thread* that forked ends, not when the process does: a child started
//! from a pool thread would be killed whenever the pool shrinks. So one thread that lives as long as the process starts
//! them all. The only unsafe code of this crate is here: what runs between fork and exec.

#![allow(unsafe_code, reason = "pre_exec is unsafe by nature: only async-signal-safe calls run in it")]

use std::{
    io,
    os::unix::process::CommandExt,
    process::{Child, Command},
    sync::{LazyLock, mpsc},
    thread,
};

use nix::{
    sys::{prctl, signal::Signal},
    unistd::{Pid, getpid, getppid},
};
use tokio::sync::oneshot;

/// Requests waiting for the thread; a start takes a millisecond, so more than this means that something is wrong.
const QUEUE_MAX: usize = 64;

struct Request {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

static SPAWNER: LazyLock<io::Result<mpsc::SyncSender<Request>>> = LazyLock::new(|| {
    let (sender, receiver) = mpsc::sync_channel::<Request>(QUEUE_MAX);
    thread::Builder::new().name("mongod-spawner".into()).spawn(move || {
        // The sender is static, so this ends with the process only.
        while let Ok(request) = receiver.recv() {
            // The caller went away meanwhile: nobody would ever stop this child.
            if let Err(Ok(mut unwanted)) = request.reply.send(spawn_here(request.command)) {
                let _ = unwanted.kill();
                let _ = unwanted.wait();
            }
        }
    })?;
    Ok(sender)
});

/// Starts a command that dies with this process (SIGKILL) and is not reached by a Ctrl-C on the terminal, since its parent
/// stops it in order.
///
/// # Errors
/// The program could not be started.
pub async fn spawn(command: Command) -> io::Result<Child> {
    let gone = || io::Error::other("the thread that starts children has ended");
    let sender = SPAWNER.as_ref().map_err(|error| io::Error::new(error.kind(), error.to_string()))?;
    let (reply, answer) = oneshot::channel();
    sender.try_send(Request { command, reply }).map_err(|error| io::Error::other(error.to_string()))?;
    answer.await.map_err(|_| gone())?
}

fn spawn_here(mut command: Command) -> io::Result<Child> {
    let parent: Pid = getpid();
    command.process_group(0);
    // SAFETY: between fork and exec only prctl and getppid are called, both async-signal-safe; nothing allocates: the
    // error is made from an errno.
    unsafe {
        command.pre_exec(move || {
            prctl::set_pdeathsig(Signal::SIGKILL).map_err(io::Error::from)?;
            // The parent may have died before the line above: then the signal was never armed.
            if getppid() != parent {
                return Err(io::Error::from(nix::errno::Errno::ESRCH));
            }
            Ok(())
        });
    }
    command.spawn()
}
