//! The control thread: the one owner of the [`Backend`].
//!
//! Clients' threads send it jobs and wait for their answers; it waits for nobody. Monitors have bounded queues: who does not
//! read misses events, and is told so by the end of its queue.

use super::Answer;
use super::Backend;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::Event;
use crate::wire::route::News;
use stack::io::poll::Poller;
use stack::io::wake::Waker;
use std::any::Any;
use std::fmt;
use std::io;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::TryRecvError;
use std::sync::mpsc::TrySendError;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

/// Jobs that may wait; a client has one at a time, so this is room for all of them.
const JOBS: usize = 128;

/// Events that may wait for one monitor.
const EVENTS: usize = 4096;

/// What a client's thread wants done.
type Work = Box<dyn FnOnce(&mut dyn Backend) + Send>;

enum Job {
    Run(Work),
    Monitor(mpsc::SyncSender<Event>),
    Stop,
}

/// The way to the control thread; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    jobs: mpsc::SyncSender<Job>,
    waker: Waker,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("control::Handle")
    }
}

/// Starts the control thread. It ends after [`Handle::stop`], and hands the backend back. It sleeps until a job comes, the
/// time that the backend named is over, or somebody else (the host) rings `waker`.
///
/// # Errors
/// When no thread can be started.
pub fn spawn<B: Backend + 'static>(
    backend: B,
    waker: Waker,
) -> io::Result<(Handle, JoinHandle<B>)> {
    let (jobs, inbox) = mpsc::sync_channel(JOBS);
    let bell = waker.clone();
    let thread = thread::Builder::new()
        .name("fg-control".into())
        .spawn(move || run(backend, &inbox, &bell))?;
    Ok((Handle { jobs, waker }, thread))
}

fn run<B: Backend>(mut backend: B, inbox: &mpsc::Receiver<Job>, waker: &Waker) -> B {
    let mut monitors = Vec::new();
    let mut news = Vec::new();
    let mut poller = Poller::new();
    loop {
        // Who reports or sends a job from now on rings; what came before is found below.
        waker.prepare_sleep();
        let wait = backend.poll(&mut news);
        publish(&mut news, &mut monitors);
        match next_job(inbox, waker, &mut poller, wait) {
            Ok(Job::Run(job)) => job(&mut backend),
            Ok(Job::Monitor(monitor)) => monitors.push(monitor),
            Err(TryRecvError::Empty) => {}
            Ok(Job::Stop) | Err(TryRecvError::Disconnected) => return backend,
        }
    }
}

/// The next job; without one, sleeps once.
fn next_job(
    inbox: &mpsc::Receiver<Job>,
    waker: &Waker,
    poller: &mut Poller,
    wait: Duration,
) -> Result<Job, TryRecvError> {
    let job = inbox.try_recv();
    if matches!(job, Err(TryRecvError::Empty)) {
        let limit = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        if let Err(error) = poller.wait_each(waker.fd(), Some(limit)) {
            tracing::error!("control: cannot wait: {error}");
        }
    }
    waker.awake();
    job
}

/// Tells every monitor; one whose queue is full is dropped, which its client sees.
fn publish(news: &mut Vec<News>, monitors: &mut Vec<mpsc::SyncSender<Event>>) {
    if news.is_empty() {
        return;
    }
    let time = unix_ms();
    for news in news.drain(..) {
        let event = Event { time, news };
        monitors.retain(|monitor| match monitor.try_send(event.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        });
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the I/O edge: events carry the time of day"
)]
/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

fn stopping<E>(_: E) -> CallError {
    CallError::refused(Reason::Stopping, "the gateway is stopping")
}

impl Handle {
    fn send(&self, job: Job) -> Answer<()> {
        self.jobs.send(job).map_err(stopping)?;
        self.waker.wake();
        Ok(())
    }

    /// Runs `job` on the control thread and waits for what it returns.
    ///
    /// # Errors
    /// `Stopping`, when the control thread has ended.
    pub fn call<T, F>(&self, job: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Backend) -> T + Send + 'static,
    {
        // As `Any`: a channel for every type of answer would be a lot of code.
        let (sender, receiver) = mpsc::sync_channel::<Box<dyn Any + Send>>(1);
        let run = Box::new(move |backend: &mut dyn Backend| {
            // The caller waits below; if it does not any more, nobody misses the answer.
            let _ = sender.try_send(Box::new(job(backend)));
        });
        self.send(Job::Run(run))?;
        let answer = receiver.recv().map_err(stopping)?;
        answer.downcast().map(|answer| *answer).map_err(stopping)
    }

    /// The same for an answer that another thread gives, waiting at most `limit` for it.
    ///
    /// # Errors
    /// `Stopping`; `Busy` when no answer came in time; else the answer's own error.
    pub fn call_pending<T, F>(&self, limit: Duration, job: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn Backend) -> super::Pending<T> + Send + 'static,
    {
        match self.call(job)?.recv_timeout(limit) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Disconnected) => Err(stopping(())),
            Err(RecvTimeoutError::Timeout) => Err(CallError::refused(
                Reason::Busy,
                format!(
                    "no answer within {} s: the gateway is busy; try again",
                    limit.as_secs()
                ),
            )),
        }
    }

    /// What happens from now on. The queue ends when it overflowed or the gateway stops.
    ///
    /// # Errors
    /// `Stopping`, when the control thread has ended.
    pub fn monitor(&self) -> Answer<mpsc::Receiver<Event>> {
        let (sender, receiver) = mpsc::sync_channel(EVENTS);
        self.send(Job::Monitor(sender))?;
        Ok(receiver)
    }

    /// Lets the control thread end when it has done what was asked before.
    pub fn stop(&self) {
        // An error says that it has ended already.
        let _ = self.send(Job::Stop);
    }
}
