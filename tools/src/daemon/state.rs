//! Groups over a restart: their file, who writes it, and reading it at the start.
//!
//! The file is lines of JSON: a head, then a group a line. It is written by a thread of its own, beside the old one
//! and then in its place, so that whoever reads it finds all of one or all of the other. Control reads its groups out in
//! slices of a millisecond, at most once in [`EVERY_MS`] and only if they have changed.
//!
//! A file that cannot be read is put aside under another name and told in one line; the gateway starts without it.

mod lines;
#[cfg(test)]
mod tests;

use lines::Head;
use lines::read_group;
use lines::write_group;
use route::SavedGroup;
use route::Saving;
use stack::Control;
use stack::Now;
use stack::ports::Ports;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::thread::JoinHandle;
use std::time::Duration;

/// Milliseconds between two writings, at least.
const EVERY_MS: u64 = 5000;

/// Destinations' worth of reading a turn: below a millisecond.
const UNITS: u32 = 8192;

/// Largest file, bytes: some ten thousand groups with long histories.
const MOST_BYTES: u64 = 256 << 20;

/// What the writing thread is given.
struct Job {
    groups: Vec<SavedGroup>,
    ports: Ports,
}

/// Keeps groups in their file while the gateway runs.
pub(super) struct Keeper {
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    /// What is being read, and the state of all groups when that began.
    saving: Option<(u64, Saving)>,
    /// The state of all groups that is written, or on its way.
    written: Option<u64>,
    next: Now,
}

impl Keeper {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn start(file: PathBuf) -> io::Result<Self> {
        let (jobs, inbox) = mpsc::sync_channel::<Job>(1);
        let thread = std::thread::Builder::new()
            .name("fg-state".into())
            .spawn(move || {
                let mut failing = false;
                for job in inbox {
                    failing = write(&file, &job, failing);
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
            saving: None,
            written: None,
            next: Now(EVERY_MS),
        })
    }

    /// One that need not wait for its first writing.
    #[cfg(test)]
    pub(super) fn at_once(self) -> Self {
        Self {
            next: Now(0),
            ..self
        }
    }

    /// Control's turn: a slice of reading, if there is something new to keep.
    pub(super) fn turn(&mut self, control: &Control, now: Now) {
        let layouts = control.layouts();
        if self.saving.is_none() {
            if self.written == Some(layouts) || now < self.next {
                return;
            }
            self.saving = Some((layouts, Saving::default()));
        }
        let Some((at, saving)) = &mut self.saving else {
            return;
        };
        let at = *at;
        let Some(groups) = control.save_step(saving, UNITS) else {
            return;
        };
        self.saving = None;
        self.next = Now(now.0 + EVERY_MS);
        let job = Job {
            groups,
            ports: control.ports().clone(),
        };
        if let Some(jobs) = &self.jobs
            && !matches!(jobs.try_send(job), Err(TrySendError::Full(_)))
        {
            self.written = Some(at);
        }
    }

    /// Whether groups are being read.
    pub(super) fn reads(&self) -> bool {
        self.saving.is_some()
    }

    /// Whether all groups as they are have been written, or are on their way.
    pub(super) fn rests(&self, control: &Control) -> bool {
        self.saving.is_none() && self.written == Some(control.layouts())
    }

    /// Writes the groups as they are, and waits for that.
    pub(super) fn end(mut self, control: &Control) {
        let mut saving = Saving::default();
        let groups = loop {
            if let Some(groups) = control.save_step(&mut saving, u32::MAX) {
                break groups;
            }
        };
        let ports = control.ports().clone();
        if let Some(jobs) = self.jobs.take() {
            // An error says that the thread has ended, which it has told.
            let _ = jobs.send(Job { groups, ports });
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the file. Returns whether that failed, which is told once.
fn write(file: &Path, job: &Job, failing: bool) -> bool {
    match replace(file, job) {
        Ok(()) => false,
        Err(error) => {
            if !failing {
                let file = file.display();
                let remedy = remedy(&error);
                tracing::warn!(
                    %file, %error,
                    "cannot keep groups for the next start: {remedy}, or name another place with state-file in [state]"
                );
            }
            true
        }
    }
}

/// What to do about a file that cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on the disk",
        _ => "make the directory writable",
    }
}

/// Beside the old file, then in its place. What is half is removed: on a full disk it would keep that full.
fn replace(file: &Path, job: &Job) -> io::Result<()> {
    let beside = with_ending(file, NEW);
    // A file that could not even be opened is not ours to remove.
    let out = open_new(&beside)?;
    fill(out, job)
        .and_then(|()| fs::rename(&beside, file))
        // It has failed already; a rest that stays is written over by the next.
        .inspect_err(|_| _ = fs::remove_file(&beside))
}

fn open_new(beside: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(beside)
}

fn fill(file: File, job: &Job) -> io::Result<()> {
    let mut out = BufWriter::new(file);
    let head = Head::now(job.groups.len());
    writeln!(out, "{}", head.text())?;
    for group in &job.groups {
        writeln!(out, "{}", write_group(group, &job.ports))?;
    }
    out.into_inner()?.sync_all()
}

/// What the names of the files beside it end with: the one that is locked, the one that is being written.
const LOCK: &str = "lock";
const NEW: &str = "new";

fn with_ending(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// How a file of groups begins, whatever its form.
const BEGINS: &[u8] = b"{\"flowgate-groups\"";

/// Whether a place for the file can be one at all.
///
/// # Errors
/// One line that says why not. `others` are files that have another use, each with its name.
pub(super) fn check(file: &Path, others: &[(&Path, &str)]) -> Result<(), String> {
    let at = file.display();
    let remedy = "name another place with state-file in [state]";
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if let Some((_, what)) = others.iter().find(|(other, _)| real(other) == real(file)) {
        return Err(format!("state file {at}: that is {what}: {remedy}"));
    }
    if file.file_name().is_none() || file.is_dir() {
        return Err(format!("state file {at}: that is a directory: {remedy}"));
    }
    // It would be renamed and replaced: `/dev/null`, which is how one may try to say that nothing is to be kept.
    if fs::metadata(file).is_ok_and(|is| !is.is_file()) {
        return Err(format!(
            "state file {at}: that is a device, a pipe or a socket, no regular file: {remedy}"
        ));
    }
    [LOCK, NEW]
        .iter()
        .try_for_each(|ending| can_be_beside(file, ending))?;
    let directory = file.parent().filter(|p| !p.as_os_str().is_empty());
    match directory.filter(|directory| !directory.is_dir()) {
        Some(directory) => Err(format!(
            "state file {at}: there is no directory {}: make it, or {remedy}",
            directory.display()
        )),
        None => Ok(()),
    }
}

/// A file of our own beside the state file is a regular one, or not there yet: nothing else is locked or written, and no
/// link is followed.
fn can_be_beside(file: &Path, ending: &str) -> Result<(), String> {
    let beside = with_ending(file, ending);
    let what = match fs::symlink_metadata(&beside) {
        Ok(is) if is.is_dir() => "a directory",
        Ok(is) if is.is_symlink() => "a symbolic link",
        Ok(is) if !is.is_file() => "a device, a pipe or a socket",
        _ => return Ok(()),
    };
    Err(format!(
        "state file {}: {} is {what}, and flowgate keeps a file of its own there: move it away, or name another place with \
         state-file in [state]",
        file.display(),
        beside.display()
    ))
}

/// Whether a file may be read and replaced: it is not there, is empty, or begins as such files do. Another one is told, and
/// left alone.
pub(super) fn is_ours(file: &Path) -> bool {
    let Ok(Some(open)) = open(file) else {
        // What cannot be read is told by who reads it.
        return true;
    };
    let mut begins = Vec::with_capacity(BEGINS.len());
    let read = open.take(BEGINS.len() as u64).read_to_end(&mut begins);
    let ours = read.is_err() || begins.is_empty() || BEGINS.starts_with(&begins);
    if !ours {
        let file = file.display();
        tracing::warn!(
            %file,
            "this is no file of groups, so it is left alone and no groups are kept: move it away, or name another place with \
             state-file in [state]"
        );
    }
    ours
}

/// How often, and how long, a lock is waited for.
const LOCK_TRIES: u32 = 40;
const LOCK_WAIT: Duration = Duration::from_millis(50);

/// Keeps a file of groups for this process alone while what is returned is held: two gateways would replace each other's.
///
/// What is locked is a file beside it, which stays, as the file itself is replaced whenever it is written. Where none can be
/// made nothing can be written either, which is told when that is tried; `None` then.
///
/// # Errors
/// One line: another gateway has it, or what is there is no regular file.
pub(super) fn alone(file: &Path) -> Result<Option<File>, String> {
    can_be_beside(file, LOCK)?;
    let beside = with_ending(file, LOCK);
    let open = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(&beside);
    let Ok(lock) = open else { return Ok(None) };
    match lock_soon(&lock) {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(format!(
            "state file {}: another gateway keeps its groups there ({} is locked): end it, or name another place with \
             state-file in [state]",
            file.display(),
            beside.display()
        )),
        Err(TryLockError::Error(_)) => Ok(None),
    }
}

/// Locks a file that one who is about to end may still have for a moment: a gateway that is started again at once.
#[allow(clippy::disallowed_methods)] // the I/O edge, at set-up
fn lock_soon(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            done => return done,
        }
    }
    lock.try_lock()
}

/// Gives control what an earlier gateway kept. What is wrong is told, and keeps nobody from starting.
pub(super) fn restore(file: &Path, control: &mut Control, now: Now) {
    let at = file.display();
    match read(file, control.ports()) {
        Ok(None) => {}
        Ok(Some((groups, elapsed))) => {
            let all = groups.len();
            let whole = control.restore(groups, elapsed, now);
            tracing::info!(file = %at, groups = whole, seconds = elapsed, "groups kept by an earlier gateway");
            if whole < all {
                tracing::warn!(file = %at, "{} kept groups are not whole and were left out", all - whole);
            }
        }
        Err(why) => {
            let aside = with_ending(file, "bad");
            let put = fs::rename(file, &aside);
            let left = match &put {
                Ok(()) => format!("it is {} now", aside.display()),
                Err(error) => format!("it cannot be put aside: {error}"),
            };
            tracing::warn!(file = %at, "{why}: the groups of an earlier gateway are not known, {left}");
        }
    }
}

/// The groups in a file, and for how many seconds they are there; `None`: there is no file.
fn read(file: &Path, ports: &Ports) -> Result<Option<(Vec<SavedGroup>, u32)>, String> {
    let open = match open(file) {
        Ok(Some(open)) => open,
        Ok(None) => return Err("it is no regular file, or larger than 256 MiB".into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    let mut lines = BufReader::new(open.take(MOST_BYTES)).lines();
    let mut next = || lines.next().transpose().map_err(|error| error.to_string());
    let head = next()?.as_deref().and_then(Head::of);
    let head = head.ok_or("its first line is not that of a file of groups")?;
    let mut groups = Vec::new();
    while let Some(line) = next()? {
        let place = groups.len() + 2;
        let group = read_group(&line, ports).map_err(|why| format!("line {place}: {why}"))?;
        groups.push(group);
    }
    if groups.len() != head.groups {
        let (has, all) = (groups.len(), head.groups);
        return Err(format!("it is cut short: {has} of {all} groups are there"));
    }
    Ok(Some((groups, head.elapsed())))
}

/// A regular file of a size that can be; nothing else is opened: a pipe, or a device, could last for ever.
fn open(file: &Path) -> io::Result<Option<File>> {
    let is = fs::metadata(file)?;
    if !is.is_file() || is.len() > MOST_BYTES {
        return Ok(None);
    }
    File::open(file).map(Some)
}
