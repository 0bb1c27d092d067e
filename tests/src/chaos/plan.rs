//! How many seeds, and for how long each: by default what a test run has time for.

/// What to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Virtual hours of each.
    pub hours: f64,
}

impl Plan {
    /// What `FLOWGATE_CHAOS` says: `COUNT/HOURS` for the seeds from 1 on, `@SEED/HOURS` for one; else these.
    ///
    /// # Panics
    /// If it says something else.
    pub fn from_env(seeds: &[u64], hours: f64) -> Self {
        match std::env::var("FLOWGATE_CHAOS") {
            Ok(text) => Self::parse(&text).unwrap_or_else(|| {
                panic!("FLOWGATE_CHAOS={text}: say COUNT/HOURS (100/2) or @SEED/HOURS (@17/0.5)")
            }),
            Err(_) => Self {
                seeds: seeds.to_vec(),
                hours,
            },
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (which, hours) = text.split_once('/')?;
        let seeds = match which.strip_prefix('@') {
            Some(seed) => vec![seed.parse().ok()?],
            None => (1..=which.parse().ok()?).collect(),
        };
        let hours: f64 = hours.parse().ok()?;
        (hours > 0.0 && !seeds.is_empty()).then_some(Self { seeds, hours })
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn seeds_are_counted_or_named_and_nonsense_is_refused() {
        let plan = |text| Plan::parse(text).map(|p| (p.seeds, p.hours));
        assert_eq!(plan("3/0.5"), Some((vec![1, 2, 3], 0.5)));
        assert_eq!(plan("@17/2"), Some((vec![17], 2.0)));
        for wrong in ["", "3", "0/1", "3/0", "3/-1", "x/1", "@/1", "@x/1"] {
            assert_eq!(plan(wrong), None, "{wrong}");
        }
    }
}
