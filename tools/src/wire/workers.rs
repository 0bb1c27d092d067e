//! The workers on the wire: how many there are, and what each owns.

use serde::Deserialize;
use serde::Serialize;

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerSlots {
    /// Its number.
    pub worker: u16,
    /// The CPU that it is pinned to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// Slots that it owns, of 256; those on their way are counted where they go. 0: it only hands on what its queues bring.
    pub slots: u32,
    /// Flows in them.
    pub flows: u64,
    /// Packets it took from its own queues.
    pub packets: u64,
    /// Of these and of what others gave it, packets that it handed to their owner.
    pub handed_off: u64,
}

/// What `Workers` answers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Workers {
    /// Workers that own slots, once those on their way have arrived.
    pub workers: u16,
    /// The most that there can be: `max-workers` of the configuration.
    pub most: u16,
    /// Slots that have still to move.
    pub moving: u32,
    /// Slots moved since the start.
    pub moved: u64,
    /// Packets that wait now because their flows are changing workers.
    pub parked: u64,
    /// Packets that did since the start.
    pub parked_in_all: u64,
    /// Packets dropped because too many did (`fg_parkfull`).
    pub parked_dropped: u64,
    /// Every worker that there can be.
    pub each: Vec<WorkerSlots>,
}

/// Parameters of `WorkersSet`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersSet {
    /// How many workers are to own slots.
    pub workers: u16,
}

/// What `WorkersSet` answers: the slots move from now on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WorkersDone {
    /// How many were to before.
    pub before: u16,
    /// How many are to now.
    pub workers: u16,
    /// Slots that are to move.
    pub moves: u32,
}
