//! Capabilities: all are dropped but those that are needed, from every set that could give them back.

use super::Needs;
use caps::CapSet;
use caps::Capability;
use caps::CapsHashSet;
use caps::errors::CapsError;
use nix::errno::Errno;
use nix::fcntl::AT_FDCWD;
use nix::fcntl::AtFlags;
use nix::unistd::AccessFlags;
use nix::unistd::faccessat;
use std::path::Path;

/// Root may write where it owns nothing by this one alone.
const OVERRIDE: Capability = Capability::CAP_DAC_OVERRIDE;

/// Drops them. Says which are left.
pub(super) fn drop_all_but(needs: &Needs) -> Result<String, String> {
    let mut kept: CapsHashSet = needs.rights.iter().copied().collect();
    dropped(&kept)
        .and_then(|()| forgo_bounds(&kept, needs))
        .and_then(|more| {
            kept.extend(more);
            caps::set(None, CapSet::Permitted, &had(&kept)?)?;
            had(&kept)
        })
        .map(|left| names(&left))
        .map_err(|error| error.to_string())
}

/// From here on the thread has no effect of the others; it may still take them back.
fn dropped(kept: &CapsHashSet) -> Result<(), CapsError> {
    caps::clear(None, CapSet::Inheritable)?;
    caps::set(None, CapSet::Effective, &had(kept)?)
}

/// Those of `kept` that there are.
fn had(kept: &CapsHashSet) -> Result<CapsHashSet, CapsError> {
    let has = caps::read(None, CapSet::Permitted)?;
    Ok(kept.intersection(&has).copied().collect())
}

/// No program could get them either. Returns the one more that is needed if files lie where their owner is another user.
fn forgo_bounds(kept: &CapsHashSet, needs: &Needs) -> Result<Option<Capability>, CapsError> {
    let files = needs.replaced.iter().chain(&needs.removed);
    let foreign = files.map(|file| directory(file)).any(|at| !may_write(at));
    let has = caps::read(None, CapSet::Permitted)?;
    let more = (foreign && has.contains(&OVERRIDE)).then_some(OVERRIDE);
    if has.contains(&Capability::CAP_SETPCAP) {
        let with: CapsHashSet = kept
            .iter()
            .copied()
            .chain([Capability::CAP_SETPCAP])
            .collect();
        caps::set(None, CapSet::Effective, &had(&with)?)?;
        for one in caps::read(None, CapSet::Bounding)? {
            if !kept.contains(&one) && Some(one) != more {
                caps::drop(None, CapSet::Bounding, one)?;
            }
        }
    }
    let all: CapsHashSet = kept.iter().copied().chain(more).collect();
    caps::set(None, CapSet::Effective, &had(&all)?)?;
    Ok(more)
}

/// Where a file is.
pub(super) fn directory(file: &Path) -> &Path {
    let parent = file.parent().filter(|p| !p.as_os_str().is_empty());
    parent.unwrap_or_else(|| Path::new("."))
}

/// Whether files can be made and removed there with the rights in effect.
fn may_write(directory: &Path) -> bool {
    let how = AccessFlags::W_OK | AccessFlags::X_OK;
    faccessat(AT_FDCWD, directory, how, AtFlags::AT_EACCESS) != Err(Errno::EACCES)
}

fn names(left: &CapsHashSet) -> String {
    if left.is_empty() {
        return "none".into();
    }
    let mut names: Vec<String> = left.iter().map(|c| c.to_string().to_lowercase()).collect();
    names.sort_unstable();
    names.join(" ")
}
