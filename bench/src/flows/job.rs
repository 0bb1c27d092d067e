//! One measurement, done once, in a process of its own: so no table is in another's memory.

use super::args::{Args, Section};
use super::expiry::{self, Keeper};
use super::flood::{self, Attack};
use super::peers::{Hashing, NAMES};
use super::report::{OURS, Sample};
use super::{hit, insert, reader, sustained};
use crate::common::cpu;
use crate::common::machine::Machine;
use crate::common::memory::{Heap, available};
use serde::{Deserialize, Serialize};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What to measure once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub(super) what: What,
    pub(super) flows: usize,
    /// The least time of each measurement.
    pub(super) seconds: f64,
    /// Number of the run: it seeds what is random.
    pub(super) run: u64,
}

/// Which measurement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum What {
    /// Hits of Flowgate's table.
    Hit,
    /// Hits and inserts of another map.
    Peer(String, Hashing),
    /// Inserts into Flowgate's table.
    Insert,
    /// How many flows find no place after long churn.
    Churn,
    /// A way of keeping lifetimes.
    Expiry(Keeper),
    /// A flood.
    Flood(Attack),
    /// So many new flows a second, for ten minutes.
    Sustained(u64),
    /// Readers beside the writer.
    Reader,
}

/// Bytes that a measurement takes for each flow, at most, and what it takes in all beside.
const OUR_BYTES: usize = 130;
const PEER_BYTES: usize = 320;
const BESIDE: usize = 512 << 20;

impl Job {
    /// Every measurement of one run.
    pub(super) fn all(args: &Args, run: u64) -> Vec<Self> {
        let mut jobs = Vec::new();
        // Ten minutes are long enough not to be repeated.
        let once = |section: &Section| *section == Section::Sustained && run > 1;
        for (section, sizes) in args.plan.iter().filter(|(section, _)| !once(section)) {
            for flows in sizes {
                jobs.extend(
                    of_section(args, *section, *flows)
                        .into_iter()
                        .map(|what| Self {
                            what,
                            flows: *flows,
                            seconds: args.seconds,
                            run,
                        }),
                );
            }
        }
        jobs
    }

    /// Nothing if there is memory for it.
    pub(super) fn fits(&self) -> Result<(), String> {
        let Some(available) = available() else {
            return Ok(());
        };
        let each = match self.what {
            What::Peer(..) => PEER_BYTES,
            _ => OUR_BYTES,
        };
        let needed = self.flows * each + BESIDE;
        if needed as i64 <= available {
            return Ok(());
        }
        let fits = (available - BESIDE as i64).max(0) as usize / each / 1_000_000;
        Err(format!(
            "{} million flows need {:.1} GB of memory, {:.1} GB are available: --flows {fits}m would fit",
            self.flows / 1_000_000,
            needed as f64 / 1e9,
            available as f64 / 1e9,
        ))
    }

    /// The least time of each measurement.
    pub(super) fn least(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Measures, in a process of its own.
    pub(super) fn delegate(&self) -> Result<Vec<Sample>, String> {
        let said = |error: &dyn std::fmt::Display| format!("cannot measure in a child: {error}");
        let program = std::env::current_exe().map_err(|error| said(&error))?;
        let job = serde_json::to_string(self).map_err(|error| said(&error))?;
        let child = Command::new(program)
            .args(["--job", &job])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| said(&error))?;
        if !child.status.success() {
            let why = String::from_utf8_lossy(&child.stderr);
            let why = why.trim().trim_start_matches("error: ");
            return Err(format!("{}: {why} ({})", self.name(), child.status));
        }
        serde_json::from_slice(&child.stdout).map_err(|error| said(&error))
    }

    /// Measures here.
    pub(super) fn serve(&self, heap: Heap) -> Result<Vec<Sample>, String> {
        let cpus = Machine::detect()?.cpus;
        // The reader section pins its threads itself.
        if self.what != What::Reader {
            cpu::pin(cpus[0])?;
        }
        match &self.what {
            What::Hit => hit::ours(self, heap),
            What::Peer(name, hashing) => hit::peer(self, name, *hashing, heap),
            What::Insert => Ok(insert::measure(self)),
            What::Churn => Ok(insert::churn(self)),
            What::Expiry(keeper) => expiry::measure(self, *keeper),
            What::Flood(attack) => flood::measure(self, *attack, heap),
            What::Sustained(rate) => sustained::measure(self, *rate, heap),
            What::Reader => reader::measure(self, &cpus),
        }
    }

    /// What it is, in a few words.
    pub(super) fn name(&self) -> String {
        let what = match &self.what {
            What::Hit => "hit, flowgate".into(),
            What::Peer(name, hashing) => format!("hit and insert, {name}, {}", hashing.name()),
            What::Insert => "insert, flowgate".into(),
            What::Churn => "insert, churn".into(),
            What::Expiry(keeper) => format!("expiry, {}", keeper.name()),
            What::Flood(attack) => format!("flood, {}", attack.name()),
            What::Sustained(rate) => format!("sustained, {rate} a second"),
            What::Reader => "reader".into(),
        };
        format!("{what}, {} flows", self.flows)
    }
}

/// The measurements of a section at one size.
fn of_section(args: &Args, section: Section, flows: usize) -> Vec<What> {
    let ours = args.wants(OURS, flows);
    let peers = NAMES.into_iter().filter(|name| args.wants(name, flows));
    match section {
        Section::Hit => {
            let both =
                |name: &str| [Hashing::Keyed, Hashing::Default].map(|h| What::Peer(name.into(), h));
            let own = ours.then_some(What::Hit);
            own.into_iter().chain(peers.flat_map(both)).collect()
        }
        Section::Insert => {
            let mut all = if ours {
                vec![What::Insert, What::Churn]
            } else {
                Vec::new()
            };
            // Where hits are measured too, the other maps' inserts come with them.
            if args.plan.iter().all(|(other, _)| *other != Section::Hit) {
                all.extend(peers.map(|name| What::Peer(name.into(), Hashing::Keyed)));
            }
            all
        }
        Section::Expiry => {
            let keepers = Keeper::ALL.into_iter().filter(|keeper| keeper.bears(flows));
            keepers.map(What::Expiry).collect()
        }
        Section::Flood => Attack::ALL.map(What::Flood).to_vec(),
        Section::Sustained => sustained::RATES.map(What::Sustained).to_vec(),
        Section::Reader => vec![What::Reader],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flows::args::tests::measured;

    #[test]
    fn a_run_measures_each_way_at_each_size_and_long_lists_not_at_all() {
        let jobs = Job::all(&measured("--only hit --flows 1k,2k --ways flowgate,scc"), 1);
        assert_eq!(jobs.len(), 2 * 3);
        let jobs = Job::all(&measured("--only expiry --flows 1k,10m"), 1);
        let lists = jobs
            .iter()
            .filter(|job| job.what == What::Expiry(Keeper::List));
        assert_eq!(lists.count(), 1);
    }

    #[test]
    fn a_job_survives_the_way_to_its_child() {
        for job in Job::all(&measured("--quick"), 3) {
            let text = serde_json::to_string(&job).expect("written");
            let back: Job = serde_json::from_str(&text).expect("read");
            assert_eq!((back.what, back.flows, back.run), (job.what, job.flows, 3));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        let mut job = Job::all(&measured("--only hit --flows 1k"), 1).remove(0);
        assert_eq!(job.fits(), Ok(()));
        job.flows = usize::MAX >> 16;
        let line = job.fits().expect_err("too many");
        assert!(line.contains("would fit") && !line.contains('\n'), "{line}");
    }
}
