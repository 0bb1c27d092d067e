//! A file that a command writes: there under its name when it is whole, or opened as it is if it is no regular file.
//!
//! A missing or regular file is written beside its place and renamed, the mode and, where that is allowed, the owner of the
//! old one kept. A link is followed. A device or a pipe is written to, and stays what it is.

use std::fs;
use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::fchown;
use std::path::Path;
use std::path::PathBuf;

/// The file under way. Dropped before [`OutFile::whole`], it leaves nothing behind.
pub(super) struct OutFile {
    out: BufWriter<File>,
    /// Where it is written, and where it belongs, if these are two places.
    place: Option<(PathBuf, PathBuf)>,
}

impl OutFile {
    /// Begins a file of this name.
    ///
    /// # Errors
    /// It cannot be made, or not be written.
    pub(super) fn open(name: &Path) -> io::Result<Self> {
        let (file, place) = match old(name)? {
            Old::Missing => beside(name, None)?,
            Old::Regular(at, is) => beside(&at, Some(&is))?,
            // What has its own ways of being written, a link that leads nowhere yet too.
            Old::Other => (File::create(name)?, None),
        };
        Ok(Self {
            out: BufWriter::new(file),
            place,
        })
    }

    /// All is written: it gets its name.
    ///
    /// # Errors
    /// It cannot be written, or not be renamed.
    pub(super) fn whole(mut self) -> io::Result<()> {
        self.out.flush()?;
        if let Some((partial, at)) = &self.place {
            fs::rename(partial, at)?;
        }
        self.place = None;
        Ok(())
    }
}

impl Write for OutFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for OutFile {
    fn drop(&mut self) {
        if let Some((partial, _)) = &self.place {
            // What is half is of no use; if it cannot be removed it has a name that says so.
            let _ = fs::remove_file(partial);
        }
    }
}

/// What has the name already.
enum Old {
    Missing,
    /// A file, behind all links.
    Regular(PathBuf, Metadata),
    Other,
}

fn old(name: &Path) -> io::Result<Old> {
    match fs::metadata(name) {
        Ok(is) if is.is_file() => Ok(Old::Regular(fs::canonicalize(name)?, is)),
        Ok(_) => Ok(Old::Other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let is_link = fs::symlink_metadata(name).is_ok();
            Ok(if is_link { Old::Other } else { Old::Missing })
        }
        Err(error) => Err(error),
    }
}

/// Where a file is written, and where it belongs.
type Place = (PathBuf, PathBuf);

/// A new file beside the place of another, which is `old` as yet.
fn beside(at: &Path, old: Option<&Metadata>) -> io::Result<(File, Option<Place>)> {
    let mut partial = at.as_os_str().to_owned();
    partial.push(format!(".{}.part", std::process::id()));
    let partial = PathBuf::from(partial);
    // Nobody reads it before it has the old one's owner.
    let mode = if old.is_some() { 0o600 } else { 0o666 };
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&partial)?;
    if let Some(old) = old {
        keep(&file, old).inspect_err(|_| _ = fs::remove_file(&partial))?;
    }
    Ok((file, Some((partial, at.to_owned()))))
}

/// Gives a file the owner and the mode of the one whose place it takes.
fn keep(file: &File, old: &Metadata) -> io::Result<()> {
    // Root alone gives files away; the group may be one of the own ones.
    if fchown(file, Some(old.uid()), Some(old.gid())).is_err() {
        let _ = fchown(file, None, Some(old.gid()));
    }
    file.set_permissions(old.permissions())
}
