//! Limits and times of the neighbours' table.

/// Limits and times. All times are in milliseconds. [`Default`] gives the values named below.
///
/// A time or a number of tries of 0 is taken as 1, and a limit of 0 as 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Neighbours at most, of all kinds (4096; 16,777,216 at most).
    pub limit: usize,
    /// Unanswered ordinary neighbours at most for one port (256): an address scan gets no more.
    pub incomplete_limit_per_port: usize,
    /// Every ordinary question may wait this long for its answer before another may take its
    /// place (100). With the limit above it bounds the questions a scan can cause.
    pub answer_ms: u32,
    /// Between two questions for an ordinary neighbour (1000; RFC 1122 §2.3.2.1: at most one a
    /// second).
    pub retrans_ms: u32,
    /// Questions for an ordinary neighbour without an answer until it has failed (3).
    pub max_tries: u32,
    /// How long an answer holds (1,200,000: FreeBSD's `net.link.ether.inet.max_age`). A used
    /// neighbour is asked again `max_tries * retrans_ms` before that.
    pub reachable_ms: u32,
    /// Between two questions for a gateway, alive or dead (1000).
    pub gateway_probe_ms: u32,
    /// Until a gateway's unanswered question is repeated (500).
    pub gateway_retrans_ms: u32,
    /// Questions for a gateway without an answer until it is dead (3).
    pub gateway_tries: u32,
    /// How long an ordinary failed neighbour is remembered as such (20,000: FreeBSD's
    /// `net.link.ether.inet.wait`).
    pub failed_hold_ms: u32,
    /// Between two defences of an address of ours (10,000; RFC 5227 §2.4 b).
    pub defend_ms: u32,
    /// Whether another MAC for a usable neighbour is believed only once the known one has not answered (false: at once,
    /// as FreeBSD does).
    pub verify_moves: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limit: 4096,
            incomplete_limit_per_port: 256,
            answer_ms: 100,
            retrans_ms: 1000,
            max_tries: 3,
            reachable_ms: 1_200_000,
            gateway_probe_ms: 1000,
            gateway_retrans_ms: 500,
            gateway_tries: 3,
            failed_hold_ms: 20_000,
            defend_ms: 10_000,
            verify_moves: false,
        }
    }
}

impl Config {
    /// The same with every value in its range, so that no timer can be due for ever.
    pub(crate) fn in_range(self) -> Self {
        Self {
            limit: self.limit.clamp(1, 1 << 24),
            incomplete_limit_per_port: self.incomplete_limit_per_port.max(1),
            answer_ms: self.answer_ms,
            retrans_ms: self.retrans_ms.max(1),
            max_tries: self.max_tries.max(1),
            reachable_ms: self.reachable_ms.max(1),
            gateway_probe_ms: self.gateway_probe_ms.max(1),
            gateway_retrans_ms: self.gateway_retrans_ms.max(1),
            gateway_tries: self.gateway_tries.max(1),
            failed_hold_ms: self.failed_hold_ms.max(1),
            defend_ms: self.defend_ms,
            verify_moves: self.verify_moves,
        }
    }

    /// How long before an answer lapses a used neighbour is asked again: time for every try.
    pub(crate) fn refresh_ms(&self) -> u64 {
        u64::from(self.max_tries).saturating_mul(u64::from(self.retrans_ms))
    }
}
