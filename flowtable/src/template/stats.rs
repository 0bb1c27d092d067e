//! Fill and counters of templates: each writer counts for itself.

use crate::stats::Tally;

/// One writer's counters. What they mean is said in [`TemplateStats`].
pub(super) struct Counters {
    pub(super) claimed: Tally,
    pub(super) replaced: Tally,
    pub(super) renewed: Tally,
    pub(super) full: Tally,
    pub(super) expired: Tally,
    pub(super) flushed: Tally,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            claimed: Tally::new(),
            replaced: Tally::new(),
            renewed: Tally::new(),
            full: Tally::new(),
            expired: Tally::new(),
            flushed: Tally::new(),
        }
    }
}

/// Fill and counters of templates, all writers together.
///
/// `claimed = used + expired + flushed` whenever no writer is at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TemplateStats {
    /// Templates that fit at most.
    pub capacity: u64,
    /// Templates now.
    pub used: u64,
    /// The most there have been at once, as far as control saw.
    pub high_water: u64,
    /// Templates made for new clients.
    pub claimed: u64,
    /// Templates that got another next hop because theirs was dead, drained or no member any more.
    pub replaced: u64,
    /// Times that a template was said to be in use still.
    pub renewed: u64,
    /// Choices made without a template because its bucket was full.
    pub full: u64,
    /// Templates freed at their timeout.
    pub expired: u64,
    /// Templates forgotten on request.
    pub flushed: u64,
}

impl TemplateStats {
    /// Adds one writer's counters.
    pub(super) fn add(&mut self, counters: &Counters) {
        // Freed ones first: a template is claimed before it is freed.
        self.expired += counters.expired.get();
        self.flushed += counters.flushed.get();
        self.claimed += counters.claimed.get();
        self.replaced += counters.replaced.get();
        self.renewed += counters.renewed.get();
        self.full += counters.full.get();
        self.used = self.claimed.saturating_sub(self.expired + self.flushed);
    }
}
