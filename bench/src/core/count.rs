//! A run to be counted, not timed: its instructions, less those of a run without packets, are those of its packets.

use super::{Rig, frames};

/// Flows of such a run: what counts is the work on a packet, not the table's size.
const FLOWS: usize = 1024;

/// Forwards so many packets of known flows.
pub(super) fn forward(packets: usize, size: usize) -> Result<(), String> {
    let [there, back] = frames(FLOWS, size);
    let mut rig = Rig::new(there, back, 65_536)?;
    rig.learn()?;
    rig.turn(packets);
    rig.all_passed()
}
