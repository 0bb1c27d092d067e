//! Counters, under the names of FreeBSD's `netstat -s -p arp` and `-p icmp6`.
//!
//! Written by the table alone; the host copies them to whoever shows them.

use crate::Ignored;

/// One counter for each reason.
pub(crate) type Reasons = [u64; Ignored::ALL.len()];

/// What the table has sent, heard, refused and given up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArpStats {
    /// ARP requests sent (announcements count apart).
    pub txrequests: u64,
    /// ARP replies sent.
    pub txreplies: u64,
    /// ARP requests received.
    pub rxrequests: u64,
    /// ARP replies received.
    pub rxreplies: u64,
    /// ARP packets received, whatever they were.
    pub received: u64,
    /// Neighbour solicitations sent (probes count apart).
    pub tx_neighbor_solicit: u64,
    /// Neighbour advertisements sent (announcements count apart).
    pub tx_neighbor_advert: u64,
    /// Neighbour solicitations received.
    pub rx_neighbor_solicit: u64,
    /// Neighbour advertisements received.
    pub rx_neighbor_advert: u64,
    /// Router solicitations received.
    pub rx_router_solicit: u64,
    /// Router advertisements sent.
    pub tx_router_advert: u64,
    /// Gratuitous ARP requests and unsolicited advertisements of our own addresses sent.
    pub announcements: u64,
    /// Questions whether somebody else has an address of ours (duplicate address detection).
    pub probes: u64,
    /// Announcements that were defences against a conflict; not in `announcements`.
    pub defences: u64,
    /// Frames that said an address of ours is another host's.
    pub dupips: u64,
    /// Neighbours that did not answer (each time they failed).
    pub unanswered: u64,
    /// Questions that did not count as unanswered, since the gateway itself may not have heard the answer.
    pub unheard: u64,
    /// Neighbours that aged out of the table.
    pub timeouts: u64,
    /// Neighbours that changed their MAC.
    pub moved: u64,
    /// Neighbours that answered from where they were when somebody else claimed to be them (if moves are verified).
    pub moves_refused: u64,
    /// Neighbours that had to go for others.
    pub evicted: u64,
    /// Neighbours refused because the table was full.
    pub refused_full: u64,
    /// Neighbours refused because their port had too many unanswered ones.
    pub refused_busy: u64,
    /// `Moved` and `Conflict` events lost because nobody took them.
    pub events_lost: u64,
    ignored: Reasons,
}

impl ArpStats {
    /// Frames ignored for this reason.
    #[must_use]
    pub fn ignored(&self, reason: Ignored) -> u64 {
        self.ignored.get(reason as usize).copied().unwrap_or(0)
    }

    /// Every reason with its count, zeroes too.
    pub fn reasons(&self) -> impl Iterator<Item = (Ignored, u64)> + '_ {
        Ignored::ALL
            .into_iter()
            .map(|reason| (reason, self.ignored(reason)))
    }

    pub(crate) fn count(&mut self, reason: Ignored) {
        if let Some(counter) = self.ignored.get_mut(reason as usize) {
            *counter += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_counter_and_name() {
        let mut stats = ArpStats::default();
        for (position, reason) in Ignored::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, position, "{reason:?} is out of order");
            for _ in 0..=position {
                stats.count(reason);
            }
        }
        let counts: Vec<u64> = stats.reasons().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=Ignored::ALL.len() as u64).collect::<Vec<_>>());
        let mut names: Vec<_> = Ignored::ALL.iter().map(|r| r.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Ignored::ALL.len());
    }
}
