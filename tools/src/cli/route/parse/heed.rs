//! Words that contradict others, or that a command would not heed: refused, so that none is thrown away.

use super::Said;
use crate::cli::exit::Failure;
use crate::cli::exit::usage;
use crate::wire::route::PathKind;

/// The word that says a kind.
pub(super) const fn word(kind: PathKind) -> &'static str {
    match kind {
        PathKind::Blackhole => "-blackhole",
        PathKind::Reject => "-reject",
        _ => "-iface",
    }
}

/// A FIB that is told again is the same one.
pub(in crate::cli::route) fn one_fib(before: Option<u8>, fib: u8) -> Result<u8, Failure> {
    match before.filter(|before| *before != fib) {
        Some(before) => usage(format!("-fib {before} and -fib {fib}: name one FIB")),
        None => Ok(fib),
    }
}

impl Said {
    /// `-iface`, `-blackhole`, `-reject`: one of them.
    pub(super) fn of_kind(&mut self, kind: PathKind) -> Result<(), Failure> {
        if let Some(before) = self.kind.filter(|before| *before != kind) {
            let (one, other) = (word(before), word(kind));
            return usage(format!(
                "{one} and {other}: a route is of one kind, say one of them"
            ));
        }
        self.kind = Some(kind);
        Ok(())
    }

    /// `flush -blackhole` would flush everything, `delete -deadline 5` delete at once.
    pub(super) fn refuse_unheeded(&self, verb: &str) -> Result<(), Failure> {
        let is_delete = ["delete", "del"].contains(&verb);
        match (self.deadline, self.kind) {
            _ if ["add", "change"].contains(&verb) => Ok(()),
            (Some(deadline), _) if is_delete => self.drain_instead(deadline),
            (Some(_), _) => usage(format!("{verb} takes no -deadline: it goes with change")),
            (_, Some(PathKind::Interface)) if is_delete => Ok(()),
            (_, Some(kind)) if is_delete => usage(format!(
                "{verb} takes no {}: it is about a route of whatever kind",
                word(kind)
            )),
            (_, Some(kind)) => usage(format!(
                "{verb} takes no {}: it goes with add and change",
                word(kind)
            )),
            (None, None) => Ok(()),
        }
    }

    fn drain_instead(&self, deadline: u32) -> Result<(), Failure> {
        let destination = self.destination.as_deref().unwrap_or("DEST");
        let gateway = self.paths.first().and_then(|path| path.gateway);
        let gateway = gateway.map_or_else(|| "GATEWAY".to_owned(), |gateway| gateway.to_string());
        usage(format!(
            "delete takes no -deadline, it deletes at once; to drain first: \
             route change {destination} {gateway} -weight 0 -deadline {deadline}"
        ))
    }
}
