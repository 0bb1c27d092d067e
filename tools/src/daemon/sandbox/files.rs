//! Files by Landlock: what is open stays open, and beside it only what is needed can be opened.

use super::Needs;
use super::rights::directory;
use landlock::ABI;
use landlock::Access;
use landlock::AccessFs;
use landlock::AccessNet;
use landlock::BitFlags;
use landlock::CompatLevel;
use landlock::Compatible;
use landlock::LandlockStatus;
use landlock::PathBeneath;
use landlock::PathFd;
use landlock::PathFdError;
use landlock::Ruleset;
use landlock::RulesetAttr;
use landlock::RulesetCreated;
use landlock::RulesetCreatedAttr;
use landlock::RulesetError;
use landlock::Scope;
use std::path::Path;

/// The newest rules that are asked for; a kernel takes those that it knows.
const NEWEST: ABI = ABI::V6;

/// What a fault's trace is made of: the program itself, and where it lies in memory.
const TRACE: [&str; 2] = ["/proc/self/exe", "/proc/self/maps"];

/// Restricts files, TCP ports, abstract sockets and signals to other processes. Says by which version.
pub(super) fn restrict(needs: &Needs) -> Result<String, String> {
    let status = ruleset()
        .and_then(|rules| allow(rules, needs))
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => {
            Ok(format!("by Landlock {}", effective_abi as i32))
        }
        LandlockStatus::NotEnabled => {
            Err("Landlock is not enabled: boot with lsm=landlock,...".into())
        }
        LandlockStatus::NotImplemented => Err("the kernel has no Landlock".into()),
    }
}

fn ruleset() -> Result<RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

fn allow(mut rules: RulesetCreated, needs: &Needs) -> Result<RulesetCreated, RulesetError> {
    let replace =
        AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    for file in &needs.replaced {
        rules = beneath(rules, directory(file), replace)?;
    }
    for file in &needs.removed {
        rules = beneath(rules, directory(file), AccessFs::RemoveFile.into())?;
    }
    for file in &needs.devices {
        rules = beneath(rules, file, device)?;
    }
    for file in TRACE {
        rules = beneath(rules, Path::new(file), AccessFs::ReadFile.into())?;
    }
    Ok(rules)
}

/// What is not there needs no rule.
fn beneath(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(path) => rules.add_rule(PathBeneath::new(path, access)),
        Err(PathFdError::OpenCall { .. }) => Ok(rules),
        Err(_) => Ok(rules),
    }
}
