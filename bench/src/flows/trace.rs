//! Which flows packets come from, in which order; ready before anything is timed.

use super::world::Packet;
use crate::common::zipf::Zipf;
use clap::ValueEnum;
use fastrand::Rng;
use serde::{Deserialize, Serialize};

/// How packets are spread over flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(super) enum Spread {
    /// Every flow as often.
    Uniform,
    /// The k-th flow as often as 1/k.
    Zipf,
}

impl Spread {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Zipf => "zipf(1)",
        }
    }
}

/// `number` packets of `flows` flows, half of them replies. The same for the same arguments.
pub(super) fn packets(flows: usize, spread: Spread, number: usize, seed: u64) -> Vec<Packet> {
    let mut rng = Rng::with_seed(seed);
    let zipf = Zipf::new(flows);
    let flow = |rng: &mut Rng| match spread {
        Spread::Uniform => rng.usize(..flows),
        Spread::Zipf => zipf.pick(rng),
    };
    let packet = |_| {
        let packet = Packet::of(flow(&mut rng) as u32);
        if rng.bool() { packet.reply() } else { packet }
    };
    (0..number).map(packet).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_packets_of_these_flows_alone() {
        for spread in [Spread::Uniform, Spread::Zipf] {
            let a = packets(100, spread, 1000, 1);
            assert_eq!(a, packets(100, spread, 1000, 1));
            assert_ne!(a, packets(100, spread, 1000, 2));
            assert!(a.iter().all(|packet| packet.flow < 100));
            assert!(a.iter().any(|packet| packet.flow > 50));
        }
    }
}
