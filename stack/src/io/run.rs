//! Gives each part of a gateway its thread: workers on their CPUs, the host beside them.
//!
//! A worker that finds nothing to do announces that it sleeps, looks once more, and polls its devices and its
//! waker; asked to spin (`busy_poll`), it never sleeps. Control stays with the caller, who reaches the host
//! through a [`HostThread`].

use super::Queue;
use super::poll::{Clock, Poller, pin_to_cpu};
use super::wake::Waker;
use crate::host::{Host, HostCmd, HostLink, HostReply};
use crate::time::Now;
use crate::worker::Worker;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// How threads run.
#[derive(Clone, Debug, Default)]
pub struct RunConfig {
    /// CPUs for the workers, used in turn; empty: not pinned.
    pub cpus: Vec<usize>,
    /// Workers spin instead of sleeping.
    pub busy_poll: bool,
}

/// What is to be done with an answer of the host, on the host's thread: short, and it must not wait.
pub type Then = Box<dyn FnOnce(HostReply) + Send>;

type Call = (HostCmd, Then);

/// What the last words of a gateway may take.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(20);

/// A way to the host's thread.
#[derive(Clone)]
pub struct HostThread {
    calls: Sender<Call>,
    waker: Waker,
}

impl HostThread {
    /// Has the host carry out a command, without waiting. If the host has ended, `then` is dropped unused.
    pub fn post(&self, cmd: HostCmd, then: Then) {
        if self.calls.send((cmd, then)).is_ok() {
            self.waker.wake();
        }
    }
}

impl HostLink for HostThread {
    fn call(&mut self, cmd: HostCmd) -> HostReply {
        let (reply, answer) = channel();
        // The caller waits below, for as long as there is somebody to answer.
        self.post(cmd, Box::new(move |said| drop(reply.send(said))));
        answer.recv().unwrap_or(HostReply::Gone)
    }
}

/// The running threads.
pub struct Running {
    stop: Arc<AtomicBool>,
    wakers: Vec<Waker>,
    threads: Vec<JoinHandle<()>>,
    /// The way to the host.
    pub host: HostThread,
}

impl Running {
    /// Ends all threads and waits for them.
    pub fn stop(mut self) {
        if let HostReply::Told(1..) = self.host.call(HostCmd::Farewell) {
            say_farewell();
        }
        self.stop.store(true, Ordering::Release);
        for waker in &self.wakers {
            waker.wake();
        }
        for thread in self.threads {
            // A thread that panicked has said so already.
            let _ = thread.join();
        }
    }

    /// Whether a thread has ended that should not have.
    pub fn crashed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }
}

/// Long enough for the host to hand its last frames over and for a worker to send them.
#[allow(clippy::disallowed_methods)] // the I/O edge, at the end
fn say_farewell() {
    std::thread::sleep(FAREWELL);
}

/// Starts the threads. `queues[w][p]` is worker `w`'s queue of port `p`.
///
/// # Errors
/// A thread cannot be made, or a CPU cannot be had.
pub fn start(
    workers: Vec<Worker>,
    queues: Vec<Vec<Box<dyn Queue>>>,
    host: Host,
    clock: Clock,
    config: &RunConfig,
) -> io::Result<Running> {
    let stop = Arc::new(AtomicBool::new(false));
    let (calls, inbox) = channel();
    let host_waker = host.waker().clone();
    let mut wakers: Vec<Waker> = workers.iter().map(|w| w.waker().clone()).collect();
    wakers.push(host_waker.clone());
    let mut threads = Vec::new();
    let halt = Arc::clone(&stop);
    threads.push(
        std::thread::Builder::new()
            .name("fg-host".into())
            .spawn(move || host_loop(host, &inbox, clock, &halt))?,
    );
    for (worker, queues) in workers.into_iter().zip(queues) {
        let cpu = config
            .cpus
            .get(worker.id() % config.cpus.len().max(1))
            .copied();
        let (busy, halt) = (config.busy_poll, Arc::clone(&stop));
        threads.push(
            std::thread::Builder::new()
                .name(format!("fg-worker{}", worker.id()))
                .spawn(move || {
                    if let Some(cpu) = cpu
                        && let Err(error) = pin_to_cpu(cpu)
                    {
                        tracing::warn!(worker = worker.id(), cpu, %error, "cannot pin to CPU");
                    }
                    worker_loop(worker, queues, clock, busy, &halt);
                })?,
        );
    }
    Ok(Running {
        stop,
        wakers,
        threads,
        host: HostThread {
            calls,
            waker: host_waker,
        },
    })
}

fn worker_loop(
    mut worker: Worker,
    mut queues: Vec<Box<dyn Queue>>,
    clock: Clock,
    busy: bool,
    stop: &AtomicBool,
) {
    let mut poller = Poller::new();
    worker.woke(0);
    while !stop.load(Ordering::Acquire) {
        let now = Now(clock.ms());
        if worker.poll(now, &mut queues) > 0 || (busy && worker.is_active()) {
            continue;
        }
        worker.waker().prepare_sleep();
        if worker.has_mail() || stop.load(Ordering::Acquire) {
            worker.waker().awake();
            continue;
        }
        sleep(&mut worker, &queues, &mut poller, clock);
        worker.idle(Now(clock.ms()));
    }
    worker.going_to_sleep();
}

fn sleep(worker: &mut Worker, queues: &[Box<dyn Queue>], poller: &mut Poller, clock: Clock) {
    let before = clock.ms();
    let timeout = worker.timeout_ms(Now(before));
    worker.counters().asleep_since.set(before + 1);
    worker.going_to_sleep();
    let live = queues
        .iter()
        .enumerate()
        .filter(|(port, _)| !worker.is_gone(*port));
    let fds = live
        .filter_map(|(_, queue)| queue.fd())
        .chain(worker.waker().fd());
    if let Err(error) = poller.wait_each(fds, timeout) {
        tracing::error!(%error, "poll failed");
    }
    worker.counters().asleep_since.set(0);
    worker.woke(clock.ms() - before);
    worker.waker().awake();
}

fn host_loop(mut host: Host, inbox: &Receiver<Call>, clock: Clock, stop: &AtomicBool) {
    let mut poller = Poller::new();
    host.woke();
    while !stop.load(Ordering::Acquire) {
        let mut work = 0;
        while let Ok((cmd, then)) = inbox.try_recv() {
            then(host.call(cmd));
            work += 1;
        }
        let us = clock.us();
        let now = Now(us / 1000);
        host.set_micros(us);
        work += host.poll(now);
        if work > 0 {
            continue;
        }
        host.waker().prepare_sleep();
        let late = inbox.try_recv();
        if let Ok((cmd, then)) = late {
            host.waker().awake();
            then(host.call(cmd));
            continue;
        }
        if host.has_mail() || stop.load(Ordering::Acquire) {
            host.waker().awake();
            continue;
        }
        let timeout = host.deadline_ms().saturating_sub(now.0);
        host.going_to_sleep();
        if let Err(error) = poller.wait_each(host.waker().fd(), Some(timeout)) {
            tracing::error!(%error, "poll failed");
        }
        host.woke();
        host.waker().awake();
    }
    host.going_to_sleep();
}
