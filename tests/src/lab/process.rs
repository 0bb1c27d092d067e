//! Programs that a test starts: in a namespace, with a time limit, their output in files.
//!
//! A [`Process`] is ended when it is dropped, and by the kernel when the test's thread ends in any
//! other way, so nothing outlives a test. Start them on the test's own thread.

use super::{find_tool, sys};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A test's own directory, removed when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    started: AtomicU32,
}

impl Scratch {
    /// Makes a fresh one.
    ///
    /// # Panics
    /// The system's directory for temporary files takes none.
    #[allow(clippy::new_without_default)] // it makes a directory
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("fg-e2e-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap_or_else(|e| panic!("cannot make {}: {e}", dir.display()));
        Self {
            dir,
            started: AtomicU32::new(0),
        }
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The path of a file in it that no other call names: numbered.
    pub(super) fn fresh(&self, name: &str) -> PathBuf {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        self.path(&format!("{number}-{name}"))
    }

    /// Writes a file in it and returns its path.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }

    /// Starts a program in `netns` (or in the caller's namespace), with an English voice, no input,
    /// and this directory as home.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(
        &self,
        netns: Option<BorrowedFd<'_>>,
        program: &Path,
        args: &[&str],
        envs: &[(&str, &str)],
    ) -> Process {
        let name = program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let stdout = self.path(&format!("{number}-{name}.out"));
        let stderr = self.path(&format!("{number}-{name}.err"));
        let file = |path: &Path| File::create(path).expect("a file for a program's output");
        let found = program
            .to_str()
            .and_then(find_tool)
            .unwrap_or_else(|| program.to_path_buf());
        let mut command = Command::new(found);
        command
            .args(args)
            .stdin(Stdio::null())
            .stdout(file(&stdout))
            .stderr(file(&stderr));
        command
            .env("LC_ALL", "C")
            .env("HOME", &self.dir)
            .envs(envs.iter().copied());
        let netns = netns.map(|fd| fd.try_clone_to_owned().expect("a namespace's descriptor"));
        sys::arrange(&mut command, netns);
        let line = format!("{name} {}", args.join(" "));
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start '{line}': {e}"));
        Process {
            child,
            line,
            stdout,
            stderr,
        }
    }

    /// Runs a program to its end.
    ///
    /// # Panics
    /// It cannot be started or does not end within `limit`.
    pub fn run(
        &self,
        netns: Option<BorrowedFd<'_>>,
        program: &Path,
        args: &[&str],
        limit: Duration,
    ) -> Ran {
        self.start(netns, program, args, &[]).finish(limit)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A program that runs.
#[derive(Debug)]
pub struct Process {
    child: Child,
    line: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// What it printed so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it said on the side so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How often its first thread has gone to sleep; 0 once it has ended.
    pub(super) fn sleeps(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()));
        let status = status.unwrap_or_default();
        let sleeps = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        sleeps.map_or(0, |sleeps| sleeps.trim().parse().expect("a number"))
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// It has ended.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed());
        kill(pid, signal).unwrap_or_else(|e| panic!("cannot signal '{}': {e}", self.line));
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end within `limit`.
    pub fn finish(mut self, limit: Duration) -> Ran {
        let deadline = Instant::now() + limit;
        let status = loop {
            match self.child.try_wait().expect("a child's status") {
                Some(status) => break status,
                None if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                None => panic!(
                    "'{}' does not end.\n{}{}",
                    self.line,
                    self.stdout(),
                    self.stderr()
                ),
            }
        };
        Ran {
            line: self.line.clone(),
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A program that ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its command line.
    pub line: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it said on the side.
    pub stderr: String,
}

impl Ran {
    /// What it printed, if it succeeded.
    ///
    /// # Panics
    /// It did not.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{self}");
        self.stdout
    }

    /// Both outputs, whatever came of it.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "'{}' ended with {}\n{}{}",
            self.line, self.status, self.stdout, self.stderr
        )
    }
}
