//! The socket's file: made with mode 0660, never taken from a living gateway, removed only while it is ours.

use super::peer::Members;
use nix::unistd::Group;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

/// Where to serve, and for whom beside the own user and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketSpec {
    /// The socket's file.
    pub path: PathBuf,
    /// A group that may call, by name.
    pub group: Option<String>,
}

impl SocketSpec {
    /// What is wrong with it by itself, whoever serves there.
    ///
    /// # Errors
    /// `TooLong`, or `NoGroup`.
    pub fn check(&self) -> Result<(), ServeError> {
        if self.path.as_os_str().len() > 107 {
            return Err(ServeError::TooLong(self.path.clone()));
        }
        self.group
            .as_deref()
            .map_or(Ok(()), |name| find_group(name).map(|_| ()))
    }

    /// Whether its path can be served, once no gateway serves it: nothing else lies there, and its directory is there. What
    /// the caller may not see is left open.
    ///
    /// # Errors
    /// `NotASocket`, or `Io`.
    pub fn check_place(&self) -> Result<(), ServeError> {
        let path = self.path.clone();
        let error = match fs::symlink_metadata(&path) {
            Ok(is) if is.file_type().is_socket() => return Ok(()),
            Ok(_) => return Err(ServeError::NotASocket(path)),
            Err(error) => error,
        };
        let is_certain = match error.kind() {
            io::ErrorKind::NotFound => fs::metadata(directory_of(&path))
                .is_err_and(|error| error.kind() == io::ErrorKind::NotFound),
            kind => kind == io::ErrorKind::NotADirectory,
        };
        match is_certain {
            true => Err(ServeError::Io { path, error }),
            false => Ok(()),
        }
    }
}

/// Why a control socket cannot be served: one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A gateway answers there.
    #[error(
        "a flowgate already serves {0}: stop it first, or give this one another socket (--socket PATH, or socket in [control])"
    )]
    Served(PathBuf),
    /// Something else lies there.
    #[error(
        "{0} exists and is not a socket: remove it, or choose another path (--socket PATH, or socket in [control])"
    )]
    NotASocket(PathBuf),
    /// The path does not fit into a socket address.
    #[error("socket path {0} is too long: a Unix socket's path has at most 107 bytes")]
    TooLong(PathBuf),
    /// No such group.
    #[error("no group {0} for the control socket: create it, or name another (group in [control])")]
    NoGroup(String),
    /// The system refused.
    #[error("cannot serve {path}: {error}{}", remedy(.error))]
    Io {
        /// The socket's file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => ": make its directory first, or choose another with --socket",
        io::ErrorKind::PermissionDenied => {
            ": choose a place that you may write with --socket, or run as its owner"
        }
        _ => "",
    }
}

/// The listening socket and its file.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) listener: UnixListener,
    pub(super) group: Option<Members>,
    path: PathBuf,
    /// Device and inode, so that a successor's file at the same path is left alone.
    identity: Option<(u64, u64)>,
}

impl Listener {
    pub(super) fn bind(spec: &SocketSpec) -> Result<Self, ServeError> {
        let path = spec.path.clone();
        let failed = |error| ServeError::Io {
            path: path.clone(),
            error,
        };
        spec.check()?;
        let group = spec.group.as_deref().map(find_group).transpose()?;
        let _alone = lock_directory(&path).map_err(failed)?;
        remove_stale(&path)?;
        let listener = bind_private(&path).map_err(failed)?;
        if let Some(group) = &group {
            let gid = Some(group.gid.as_raw());
            std::os::unix::fs::chown(&path, None, gid).map_err(failed)?;
        }
        let identity = identity(&path);
        Ok(Self {
            listener,
            group: group.as_ref().map(Members::of),
            path,
            identity,
        })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Nothing is lost if it has gone already.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path)
        .ok()
        .map(|metadata| (metadata.dev(), metadata.ino()))
}

fn find_group(name: &str) -> Result<Group, ServeError> {
    let group = Group::from_name(name).ok().flatten();
    group.ok_or_else(|| ServeError::NoGroup(name.into()))
}

/// Binds, and sets mode 0660 whatever the mask is. The mask itself is the whole process's and is left alone; whoever gets in
/// between the two calls is still refused by its credentials.
fn bind_private(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// Gateways that start at the same time look at the stale file and replace it one after the other: the lock on its
/// directory is held until the new socket listens.
fn lock_directory(path: &Path) -> io::Result<fs::File> {
    let directory = fs::File::open(directory_of(path))?;
    directory.lock()?;
    Ok(directory)
}

/// Removes the file that a gateway left which was killed: a socket that refuses connections.
fn remove_stale(path: &Path) -> Result<(), ServeError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(ServeError::NotASocket(path.into()));
    }
    let failed = |error| {
        Err(ServeError::Io {
            path: path.into(),
            error,
        })
    };
    match UnixStream::connect(path) {
        Ok(_) => Err(ServeError::Served(path.into())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).or_else(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn of_gateways_that_start_together_on_a_stale_socket_one_serves_and_the_others_say_so() {
        let dir = std::env::temp_dir().join(format!("fg-socket-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let spec = SocketSpec {
            path: dir.join("flowgate.sock"),
            group: None,
        };
        for _ in 0..20 {
            // A killed gateway leaves its file behind.
            drop(UnixListener::bind(&spec.path).unwrap());
            let together = Barrier::new(4);
            let start = || {
                together.wait();
                Listener::bind(&spec)
            };
            let started: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
                threads.into_iter().map(|t| t.join().unwrap()).collect()
            });
            let served = |r: &&Result<Listener, ServeError>| r.is_ok();
            assert_eq!(started.iter().filter(served).count(), 1, "{started:?}");
            assert!(UnixStream::connect(&spec.path).is_ok(), "its file is there");
            let refused = |r: &Result<Listener, ServeError>| match r {
                Ok(_) => true,
                Err(error) => matches!(error, ServeError::Served(_)),
            };
            assert!(started.iter().all(refused), "{started:?}");
            drop(started);
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
