//! The two secrets (design section 4).
//!
//! The *group secret* belongs to the installation: it is made once, kept in a file of mode 0600 as 32 hexadecimal digits,
//! and decides which bucket a flow is in; so a restarted gateway, and a second one with the same file, choose alike. The
//! *table secret* is fresh at each start: nobody outside can aim at places of the flow tables.

use flowtable::GroupSecret;
use flowtable::TableSecret;
use std::fs;
use std::fs::OpenOptions;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Bytes of a secret.
const BYTES: usize = 16;

/// What must not be guessed.
pub(super) struct Secrets {
    pub(super) table: TableSecret,
    pub(super) group: GroupSecret,
    /// For what is to look random without being secret.
    pub(super) seed: u64,
}

impl Secrets {
    /// The group secret of `file`, which is made if it is not there, and fresh ones.
    ///
    /// # Errors
    /// One line: the file cannot be made or read, or holds something else; no randomness.
    pub(super) fn load(file: &Path) -> Result<Self, String> {
        Ok(Self {
            table: TableSecret(random()?),
            group: GroupSecret(kept(file)?),
            seed: u64::from_ne_bytes(random()?),
        })
    }
}

fn random<const N: usize>() -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| format!("the system gives no randomness: {error}"))?;
    Ok(bytes)
}

/// The secret in `file`, made there at the first start.
fn kept(file: &Path) -> Result<[u8; BYTES], String> {
    match read(file)? {
        Some(secret) => {
            warn_if_open(file);
            Ok(secret)
        }
        None => make(file),
    }
}

/// What would keep [`Secrets::load`] from its file, without making it.
///
/// # Errors
/// One line: what lies there is no secret, or there is no directory to make one in.
pub(super) fn check(file: &Path) -> Result<(), String> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if read(file)?.is_none() && !directory.is_dir() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(cannot_make(file, &missing));
    }
    Ok(())
}

/// The secret in `file`; `None` when there is no file.
fn read(file: &Path) -> Result<Option<[u8; BYTES]>, String> {
    let at = file.display();
    match bounded(file) {
        Ok(text) => parse(&text).map(Some).ok_or_else(|| {
            format!(
                "{at} holds no group secret: it must be a regular file of {} hexadecimal digits; restore it, or remove \
                 it and a new one is made (flows that are not pinned then choose anew)",
                2 * BYTES
            )
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!(
            "cannot read the group secret {at}: {error}: make it readable for the user who runs flowgate"
        )),
    }
}

/// The beginning of a regular file, one byte more than a secret and its line's end; nothing of what is no file: opening
/// a pipe, or reading a device, could last for ever.
fn bounded(file: &Path) -> io::Result<String> {
    if !fs::metadata(file)?.is_file() {
        return Ok(String::new());
    }
    let mut bytes = Vec::new();
    let most = 2 * BYTES as u64 + 2;
    fs::File::open(file)?.take(most).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn make(file: &Path) -> Result<[u8; BYTES], String> {
    let secret: [u8; BYTES] = random()?;
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut file| {
            file.write_all(format!("{text}\n").as_bytes())
                .and_then(|()| file.sync_all())
        });
    match written {
        Ok(()) => Ok(secret),
        Err(error) => Err(cannot_make(file, &error)),
    }
}

fn cannot_make(file: &Path, error: &io::Error) -> String {
    format!(
        "cannot make the group secret {}: {error}: make its directory writable for the user who runs flowgate, or \
         name another place with group-secret-file in [secrets]",
        file.display()
    )
}

fn parse(text: &str) -> Option<[u8; BYTES]> {
    let digits = text.trim_end();
    if digits.len() != 2 * BYTES || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    Some(u128::from_str_radix(digits, 16).ok()?.to_be_bytes())
}

fn warn_if_open(file: &Path) {
    let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode());
    if mode & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "others may read the group secret: chmod 600 it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_secret_is_made_once_and_kept_for_its_user_alone() {
        let directory =
            std::env::temp_dir().join(format!("flowgate-secrets-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let file = directory.join("group-secret");
        let first = kept(&file).unwrap();
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(kept(&file), Ok(first));
        let other = kept(&directory.join("other")).unwrap();
        assert_ne!(first, other);
        fs::write(&file, "short\n").unwrap();
        assert!(kept(&file).unwrap_err().contains("32 hexadecimal digits"));
        let nowhere = kept(&directory.join("nowhere/group-secret")).unwrap_err();
        assert!(nowhere.contains("group-secret-file"), "{nowhere}");
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once_and_a_check_makes_nothing() {
        for endless in ["/dev/zero", "/dev", "/dev/null"] {
            let line = kept(Path::new(endless)).unwrap_err();
            assert!(line.contains("must be a regular file"), "{line}");
            assert!(check(Path::new(endless)).is_err());
        }
        let directory = crate::testing::Directory::new();
        let file = directory.join("group-secret");
        check(&file).unwrap();
        assert!(!file.exists());
        fs::write(&file, "0".repeat(1 << 20)).unwrap();
        assert!(check(&file).is_err());
        let nowhere = check(&directory.join("nowhere/group-secret")).unwrap_err();
        assert!(nowhere.contains("group-secret-file"), "{nowhere}");
    }

    #[test]
    fn only_whole_secrets_are_read() {
        let good = "00112233445566778899aabbccddeeff";
        let bytes = parse(good).unwrap();
        assert_eq!((bytes[0], bytes[15]), (0, 0xff));
        assert_eq!(parse(&format!("{good}\n")), Some(bytes));
        for bad in [
            "",
            "0",
            &good[1..],
            &format!("{good}0"),
            "+0112233445566778899aabbccddeeff",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
