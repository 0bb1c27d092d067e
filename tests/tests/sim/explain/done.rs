//! The judge: what the gateway did with a packet, held against what was explained of it.

use super::*;
use flowgate_tests::sim::Sent;
use stack::fate::DropReason;

/// What the gateway did with one packet.
pub(super) struct Done<'a> {
    pub(super) before: &'a Totals,
    pub(super) after: &'a Totals,
    pub(super) sent: &'a [Sent],
}

impl Done<'_> {
    fn more(&self, of: impl Fn(&Totals) -> u64) -> u64 {
        of(self.after).wrapping_sub(of(self.before))
    }

    fn dropped(&self) -> Vec<DropReason> {
        let all = DropReason::ALL.iter().copied();
        all.filter(|reason| self.more(|t| t.dropped_for(*reason)) > 0)
            .collect()
    }

    pub(super) fn drops(&self) -> String {
        format!("dropped {:?}", self.dropped())
    }

    pub(super) fn agrees(&self, said: &Explanation) -> Result<(), String> {
        let expect = |what: &str, is: u64, should: u64| match is == should {
            true => Ok(()),
            false => Err(format!("{what}: {is}, not {should}")),
        };
        let icmp = self.more(|t| t.icmp_sent + t.icmp_limited - t.echo_limited);
        match said.verdict {
            Verdict::Forward(way) => {
                expect("forwarded", self.more(|t| t.forwarded), 1)?;
                expect(
                    "split",
                    u64::from(self.more(|t| t.extra_pieces) > 0),
                    u64::from(way.pieces > 1),
                )?;
                let by_way = |sent: &&Sent| {
                    let header = way
                        .header
                        .as_ref()
                        .is_none_or(|header| sent.bytes.starts_with(header));
                    sent.port == usize::from(way.port.0) && header
                };
                let out = self.sent.iter().filter(by_way).count() as u64;
                expect("sent that way", u64::from(out > 0), 1)?;
                expect(
                    "frames that way",
                    out.min(way.pieces as u64),
                    way.pieces as u64,
                )
            }
            Verdict::Deliver => expect("delivered", self.more(|t| t.consumed_local), 1),
            Verdict::Echo => expect("echoed", self.more(|t| t.consumed_echo), 1),
            Verdict::Neighbour => expect("ARP and ND", self.more(|t| t.consumed_arp), 1),
            Verdict::Hold => {
                let waits = self.more(|t| t.waiting) == 1;
                let full = [
                    DropReason::HoldFull,
                    DropReason::NeighbourFull,
                    DropReason::NeighbourLimited,
                    DropReason::NeighbourDisplaced,
                ];
                let refused = self.dropped().iter().any(|reason| full.contains(reason));
                expect("held", u64::from(waits || refused), 1)
            }
            // Where its first piece went, if that came.
            Verdict::Collect => Ok(()),
            Verdict::Drop { reason, answer } => {
                if self.dropped() != [reason] {
                    return Err(format!("dropped for {:?}, not {reason:?}", self.dropped()));
                }
                expect("answers", icmp, u64::from(answer.is_some()))
            }
        }
    }
}
