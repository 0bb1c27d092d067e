//! The demo's own directory, for its control socket. Made before the namespace, since inside it the user
//! looks like root; removed when the demo ends, whatever ends it.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The directory; it goes when this is dropped.
pub(crate) struct Place {
    directory: PathBuf,
}

impl Place {
    /// A fresh directory that only this user may enter, in the runtime directory if there is one.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let base = runtime
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir);
        Self::inside(&base)
    }

    fn inside(base: &Path) -> io::Result<Self> {
        let directory = base.join(format!("flowgate-demo-{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&directory)
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("cannot make {}: {error}", directory.display()),
                )
            })?;
        Ok(Self { directory })
    }

    /// Where the control socket goes.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("flowgate.sock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The socket was removed by its server; if not, it is of no more use.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_place_is_private_and_goes_with_what_is_in_it() {
        let place = Place::inside(&std::env::temp_dir()).unwrap();
        let directory = place.socket().parent().map(Path::to_path_buf).unwrap();
        let mode = directory.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::write(place.socket(), "").unwrap();
        drop(place);
        assert!(!directory.exists());
    }
}
