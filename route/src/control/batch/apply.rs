//! Applying a batch prefix by prefix, taking that back, and letting go of what is left over.

use super::{Batch, NONE, Op, Phase, TOLD_ONE_BY_ONE};
use crate::control::Control;
use crate::error::Full;
use crate::ids::GroupId;
use crate::info::{Change, ChangeKind};
use crate::prefix::Prefix;

impl Batch {
    /// Changes prefixes.
    pub(super) fn apply(&mut self, control: &mut Control, units: usize) {
        control.reclaim_fib();
        let end = self.ops.len().min(self.next + units);
        while self.next < end {
            let left = &self.ops[self.next..end];
            match control.turn_some(left) {
                Ok(turned) => {
                    for at in self.next..self.next + turned {
                        let op = self.ops[at];
                        control.groups.use_group(op.new);
                        self.count(&op);
                    }
                    self.next += turned;
                }
                // Readers hold on to old nodes for now: tried again in the next step.
                Err(_) if left[0].new == NONE => return,
                Err(full) => {
                    self.refused = Some(full.into());
                    self.refused_at = Some(left[0].prefix);
                    return self.go_on(Phase::Undo, self.next);
                }
            }
        }
        if end == self.ops.len() {
            self.told = (end <= TOLD_ONE_BY_ONE).then(|| self.changes(control));
            self.go_on(Phase::Settle, 0);
        }
    }

    const fn count(&mut self, op: &Op) {
        let count = match (op.old, op.new) {
            (NONE, _) => &mut self.done.added,
            (_, NONE) => &mut self.done.deleted,
            _ => &mut self.done.changed,
        };
        *count += 1;
    }

    /// Takes changes back, the last first. Where there is no room, readers hold on to old nodes for now: tried again.
    pub(super) fn undo(&mut self, control: &mut Control, units: usize) {
        control.reclaim_fib();
        for _ in 0..units {
            let Some(at) = self.next.checked_sub(1) else {
                // The old groups stay with their routes.
                self.ops.clear();
                return self.go_on(Phase::Release, 0);
            };
            let op = self.ops[at];
            if control.turn(op.prefix, op.old).is_err() {
                return;
            }
            // The batch holds on to the group, so it does not end here.
            control.release(op.new);
            self.next = at;
        }
    }

    /// Prefixes have their new groups: one use less of each old one.
    pub(super) fn settle(&mut self, control: &mut Control, units: usize) {
        let end = self.ops.len().min(self.next + units);
        for at in self.next..end {
            let op = self.ops[at];
            if op.old != NONE {
                let left = control.release(op.old);
                self.ended.extend(control.end_unnamed(&left));
            }
        }
        self.next = end;
        if end == self.ops.len() {
            self.go_on(Phase::Release, 0);
        }
    }

    /// Each prefix's change, as a single one would be told.
    fn changes(&self, control: &Control) -> Vec<Change> {
        let change = |op: &Op| {
            let (kind, group) = match (op.old, op.new) {
                (NONE, new) => (ChangeKind::Added, new),
                (old, NONE) => (ChangeKind::Deleted, old),
                (_, new) => (ChangeKind::Changed, new),
            };
            Change {
                kind,
                prefix: op.prefix,
                paths: control.paths(group),
                removed_nhops: Vec::new(),
                warning: None,
            }
        };
        self.ops.iter().map(change).collect()
    }
}

impl Control {
    /// Turns a prefix to another group, or to none. Who uses which group is not counted here.
    fn turn(&mut self, prefix: Prefix, to: GroupId) -> Result<(), Full> {
        if to == NONE {
            self.remove_from_fib(&prefix)?;
            self.point(prefix, None);
        } else {
            self.store_in_fib(&prefix, to)?;
            self.point(prefix, Some(to));
        }
        self.view.stamps.bump(&prefix);
        Ok(())
    }

    /// Turns the first prefix to its new group, and those behind it that the FIB changes along with it. Returns how
    /// many; if there is no room for the first, none.
    fn turn_some(&mut self, ops: &[Op]) -> Result<usize, Full> {
        let goes = ops.first().is_some_and(|first| first.new == NONE);
        let alike = ops.iter().take_while(|op| (op.new == NONE) == goes);
        let group = |op: &Op| Some(op.new).filter(|new| *new != NONE);
        let turned = self.change_in_fib(alike.map(|op| (op.prefix, group(op))))?;
        for op in ops.iter().take(turned) {
            self.point(op.prefix, group(op));
            self.view.stamps.bump(&op.prefix);
        }
        Ok(turned)
    }
}
