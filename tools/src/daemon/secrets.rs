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
    let at = file.display();
    match fs::read_to_string(file) {
        Ok(text) => {
            warn_if_open(file);
            parse(&text).ok_or_else(|| {
                format!(
                    "{at} holds no group secret: it must be {} hexadecimal digits; restore it, or remove it and a new \
                     one is made (flows that are not pinned then choose anew)",
                    2 * BYTES
                )
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(file),
        Err(error) => Err(format!(
            "cannot read the group secret {at}: {error}: make it readable for the user who runs flowgate"
        )),
    }
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
        Err(error) => Err(format!(
            "cannot make the group secret {}: {error}: make its directory writable for the user who runs flowgate, or \
             name another place with group-secret-file in [secrets]",
            file.display()
        )),
    }
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
