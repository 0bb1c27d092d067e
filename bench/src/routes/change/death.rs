//! A next hop that many routes share dies: its buckets are rewritten, no route is touched.

use super::super::report::Report;
use super::super::router::{Router, path};
use super::Bench;
use crate::clock;
use route::{Family, GroupId, Health, NhopIdx, Secs};

/// Few routes, to compare with all.
const FEW: usize = 1000;
/// The least number of deaths of which the median is shown.
const DEATHS: usize = 21;

/// Kills and revives it, with few routes and with all.
pub(super) fn measure(bench: &mut Bench<'_>, report: &mut Report) -> Result<(), String> {
    let all = bench.routes.len();
    for number in [FEW.min(all), all] {
        eprintln!("  {number} routes share two next hops ...");
        let mut router = Router::empty();
        for route in &bench.routes[..number] {
            router.add_balanced(route.prefix)?;
        }
        let group = router.values(&bench.routes[..1])?[0];
        let (deaths, returns) = kill(&mut router, GroupId(group), bench.args.runs.max(DEATHS))?;
        report.runs(
            "death",
            format!("set_health Dead, {number} routes"),
            &deaths,
            "us",
        );
        report.runs(
            "death",
            format!("set_health Up again, {number} routes"),
            &returns,
            "us",
        );
    }
    Ok(())
}

/// Microseconds of each death and each return.
fn kill(router: &mut Router, group: GroupId, times: usize) -> Result<(Vec<f64>, Vec<f64>), String> {
    let key = path(Family::V4, 0).key;
    let idx = router
        .control
        .nhop(&key)
        .ok_or("the next hop is not there")?;
    let (mut deaths, mut returns) = (Vec::new(), Vec::new());
    for now in 1..=times as u32 {
        if owned(router, group, idx) == 0 {
            return Err("the next hop has no bucket to lose".into());
        }
        deaths.push(set(router, idx, Health::Dead, Secs(2 * now)));
        match owned(router, group, idx) {
            0 => returns.push(set(router, idx, Health::Up, Secs(2 * now + 1))),
            left => return Err(format!("{left} buckets still lead to the dead next hop")),
        }
        router.tick();
    }
    Ok((deaths, returns))
}

/// Microseconds to note a state.
fn set(router: &mut Router, idx: NhopIdx, health: Health, now: Secs) -> f64 {
    let began = clock::now();
    router.control.set_health(idx, health, now);
    began.elapsed().as_secs_f64() * 1e6
}

/// Buckets that lead readers to a next hop.
fn owned(router: &Router, group: GroupId, idx: NhopIdx) -> usize {
    let group = router.view.group(group);
    let is = |bucket: &u32| group.owner(*bucket).is_some_and(|pin| pin.idx() == idx);
    (0..group.buckets()).filter(is).count()
}
