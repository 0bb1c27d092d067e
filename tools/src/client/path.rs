//! Where the control socket is, when nobody says: the same answer for the gateway and for its clients.

use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;

/// The environment variable that names the socket.
pub const SOCKET_VARIABLE: &str = "FLOWGATE_SOCKET";

/// The socket of a gateway that root runs.
const SYSTEM_SOCKET: &str = "/run/flowgate.sock";

/// Where a gateway of this user listens by default: root's in `/run`, others' in their runtime directory
/// (`XDG_RUNTIME_DIR`); `None` when there is none.
pub fn default_socket() -> Option<PathBuf> {
    own_socket(
        nix::unistd::geteuid().is_root(),
        std::env::var_os("XDG_RUNTIME_DIR"),
    )
}

fn own_socket(root: bool, runtime: Option<OsString>) -> Option<PathBuf> {
    if root {
        return Some(SYSTEM_SOCKET.into());
    }
    runtime
        .filter(|directory| !directory.is_empty())
        .map(|directory| Path::new(&directory).join("flowgate.sock"))
}

/// The socket that somebody names: on the command line, in the configuration, by [`SOCKET_VARIABLE`].
pub fn named_socket(told: Option<PathBuf>, configured: Option<&Path>) -> Option<PathBuf> {
    let variable = || std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty());
    told.or_else(|| configured.map(Path::to_owned))
        .or_else(|| variable().map(PathBuf::from))
}

/// Where a client looks: what it was told, [`SOCKET_VARIABLE`], its own user's gateway, the system's.
pub fn socket_or_default(told: Option<PathBuf>) -> PathBuf {
    named_socket(told, None)
        .or_else(|| default_socket().filter(|path| path.exists()))
        .unwrap_or_else(|| SYSTEM_SOCKET.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_users_have_their_own_places() {
        assert_eq!(
            own_socket(true, Some("/run/user/0".into())),
            Some(SYSTEM_SOCKET.into())
        );
        let users = Some("/run/user/1000/flowgate.sock".into());
        assert_eq!(own_socket(false, Some("/run/user/1000".into())), users);
        assert_eq!(own_socket(false, Some("".into())), None);
        assert_eq!(own_socket(false, None), None);
    }

    #[test]
    fn a_path_that_is_given_wins() {
        assert_eq!(
            socket_or_default(Some("here".into())),
            PathBuf::from("here")
        );
    }
}
