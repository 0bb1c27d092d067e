//! Programs of others, and files for them: found or told how to install, ended and removed with who has them.

use super::place::said;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Where a program is, also in the directories for administrators, which an ordinary user's `PATH` may lack.
///
/// # Errors
/// It is not there: what it is called, and what to install, in one line.
pub(super) fn find(tool: &str, package: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path);
    let more = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let mut files = places.chain(more).map(|place| place.join(tool));
    files
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{tool} is not installed: apt install {package}"))
}

/// A program that runs until this is dropped.
pub(super) struct Program(Child);

impl Program {
    pub(super) fn start(mut command: Command) -> Result<Self, String> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command
            .spawn()
            .map_err(|error| format!("{name}: {error}"))?;
        Ok(Self(child))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    /// What became of it, if it has ended.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.0.try_wait().ok()??;
        Some(status.to_string())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has nothing to lose.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A directory of its own; removed with this.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new() -> Result<Self, String> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let (process, n) = (std::process::id(), MADE.fetch_add(1, Relaxed));
        let dir = std::env::temp_dir().join(format!("flowgate-devices-{process}-{n}"));
        fs::create_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        Ok(Self(dir))
    }

    pub(super) fn dir(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let file = self.0.join(name);
        fs::write(&file, text).map_err(said)?;
        Ok(file)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays is in the directory for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_told_with_its_package() {
        assert!(find("sh", "dash").is_ok());
        assert_eq!(
            find("no-such-tool", "its-package").expect_err("missing"),
            "no-such-tool is not installed: apt install its-package"
        );
    }

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let scratch = Scratch::new().expect("a directory");
        let file = scratch.write("a", "text").expect("a file");
        assert_eq!(fs::read_to_string(&file).expect("read"), "text");
        drop(scratch);
        assert!(!file.exists());
    }
}
