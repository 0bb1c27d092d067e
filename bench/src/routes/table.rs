//! The routes of the benchmark: prefixes of a real table (or one made like it), each with a next hop.

use super::args::{Args, Model};
use crate::prefixes::{self, Prefixes, markov_next_hops};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Next hops of a family.
pub(super) const HOPS: u32 = 512;
/// Probability that a prefix has its predecessor's next hop.
const STAY: f64 = 0.75;
/// Of how many prefixes `--quick` keeps one.
const QUICK: usize = 10;
/// How much larger than the table of 2023 today's are.
const GROWTH: [f64; 2] = [1.25, 1.6];

/// Prefixes of both families.
#[derive(Clone, Debug)]
pub(super) struct Routes {
    pub(super) prefixes: Prefixes,
}

/// A route: its prefix, and the number of its next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Route {
    pub(super) prefix: route::Prefix,
    pub(super) hop: u32,
}

impl Routes {
    /// The table that `args` names, and a line that says which that is.
    pub(super) fn load(args: &Args) -> Result<(Self, String), String> {
        let from_env = std::env::var("FLOWGATE_BGP").ok();
        let (prefixes, from) = match (&args.table, from_env) {
            (Some(file), _) => (Prefixes::read_file(file), file.display().to_string()),
            (None, Some(file)) => (Prefixes::load(), file),
            (None, None) => (Prefixes::load(), "made, not a real table".into()),
        };
        let mut prefixes = prefixes.map_err(|error| error.to_string())?;
        let mut how = from;
        if args.quick {
            thin(&mut prefixes.v4);
            thin(&mut prefixes.v6);
            how += ", every tenth prefix (--quick)";
        }
        if prefixes.v4.len() < 16 || prefixes.v6.len() < 16 {
            return Err("the table must have at least 16 prefixes of each family".into());
        }
        let (v4, v6) = (prefixes.v4.len(), prefixes.v6.len());
        Ok((
            Self { prefixes },
            format!("table: {v4} IPv4 and {v6} IPv6 prefixes: {how}"),
        ))
    }

    /// The table as it may be today: /22 and /23 split into /24, siblings of /48 added.
    pub(super) fn grown(&self) -> Self {
        let mut rng = Rng::with_seed(0x6_7077);
        let Prefixes { v4, v6 } = &self.prefixes;
        let half = |p: &prefixes::Prefix, rng: &mut Rng| part_24(p, rng);
        let v4 = grow(v4, GROWTH[0], &mut rng, |p| (22..=23).contains(&p.1), half);
        let v6 = grow(v6, GROWTH[1], &mut rng, |p| p.1 == 48, sibling_48);
        Self {
            prefixes: Prefixes { v4, v6 },
        }
    }

    /// Every route, IPv4 first, with next hops by `model`.
    pub(super) fn with_hops(&self, model: Model) -> Result<Vec<Route>, String> {
        let mut rng = Rng::with_seed(9);
        let mut routes = Vec::with_capacity(self.prefixes.v4.len() + self.prefixes.v6.len());
        for family in [&self.prefixes.v4, &self.prefixes.v6] {
            for (prefix, hop) in family.iter().zip(hops(family.len(), model, &mut rng)) {
                let prefix = route::Prefix::new(prefix.0, prefix.1).map_err(|e| e.to_string())?;
                routes.push(Route { prefix, hop });
            }
        }
        Ok(routes)
    }
}

/// The next hop of each of `len` sorted prefixes.
fn hops(len: usize, model: Model, rng: &mut Rng) -> Vec<u32> {
    match model {
        Model::Markov => markov_next_hops(len, HOPS, STAY, rng),
        Model::Iid => (0..len).map(|_| rng.u32(..HOPS)).collect(),
    }
}

/// Keeps one of ten.
fn thin(prefixes: &mut Vec<prefixes::Prefix>) {
    *prefixes = prefixes.iter().copied().step_by(QUICK).collect();
}

/// `factor` times as many prefixes, the new ones made by `more` from those that `fit`; fewer if there is no
/// room for so many.
fn grow(
    from: &[prefixes::Prefix],
    factor: f64,
    rng: &mut Rng,
    fit: impl Fn(&prefixes::Prefix) -> bool,
    more: impl Fn(&prefixes::Prefix, &mut Rng) -> prefixes::Prefix,
) -> Vec<prefixes::Prefix> {
    let seeds: Vec<_> = from.iter().copied().filter(fit).collect();
    let mut all: BTreeSet<_> = from.iter().copied().collect();
    let wanted = (from.len() as f64 * factor) as usize;
    let mut tries = 20 * wanted;
    while all.len() < wanted && tries > 0 && !seeds.is_empty() {
        all.insert(more(&seeds[rng.usize(..seeds.len())], rng));
        tries -= 1;
    }
    all.into_iter().collect()
}

/// A /24 of a shorter IPv4 prefix.
fn part_24(prefix: &prefixes::Prefix, rng: &mut Rng) -> prefixes::Prefix {
    match prefixes::address_in(prefix, rng) {
        IpAddr::V4(addr) => (Ipv4Addr::from_bits(addr.to_bits() & !0xff).into(), 24),
        other => (other, prefix.1),
    }
}

/// A /48 within the same /44 as an IPv6 /48.
fn sibling_48(prefix: &prefixes::Prefix, rng: &mut Rng) -> prefixes::Prefix {
    match prefix.0 {
        IpAddr::V6(addr) => {
            let flip = u128::from(rng.u32(1..16)) << 80;
            (Ipv6Addr::from_bits(addr.to_bits() ^ flip).into(), 48)
        }
        other => (other, prefix.1),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::routes::args::tests::parsed;

    /// A small made table.
    pub(in crate::routes) fn small() -> Routes {
        Routes {
            prefixes: Prefixes::made(3_000, 600),
        }
    }

    #[test]
    fn a_grown_table_has_the_old_prefixes_and_as_many_more_as_asked_for() {
        let (small, grown) = (small(), small().grown());
        let within =
            |len: usize, of: usize, factor: f64| (len as f64 / of as f64 - factor).abs() < 0.01;
        assert!(within(
            grown.prefixes.v4.len(),
            small.prefixes.v4.len(),
            1.25
        ));
        assert!(within(
            grown.prefixes.v6.len(),
            small.prefixes.v6.len(),
            1.6
        ));
        let all: BTreeSet<_> = grown.prefixes.v4.iter().chain(&grown.prefixes.v6).collect();
        let kept = |p| all.contains(p);
        assert!(small.prefixes.v4.iter().chain(&small.prefixes.v6).all(kept));
        assert!(grown.with_hops(Model::Iid).is_ok(), "no host bits");
    }

    #[test]
    fn both_models_give_every_route_one_of_the_next_hops() {
        for model in [Model::Markov, Model::Iid] {
            let routes = small().with_hops(model).expect("a table");
            assert_eq!(routes.len(), 3_600);
            assert!(routes.iter().all(|route| route.hop < HOPS));
            let same = routes.windows(2).filter(|w| w[0].hop == w[1].hop).count() as f64 / 3_600.0;
            let expected = if model == Model::Markov {
                0.7..0.85
            } else {
                0.0..0.02
            };
            assert!(expected.contains(&same), "{same}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_named() {
        let args = parsed("--table /nowhere/table.gz").expect("checked when it is read");
        let error = Routes::load(&args).expect_err("no such file");
        assert!(error.contains("/nowhere/table.gz"), "{error}");
    }
}
