//! Made-up batches: all is there at once, and all that is refused is the gateway 172.16.0.1 and the network 192.0.2.0/24.

use super::Fake;
use super::path;
use super::route;
use crate::server::Answer;
use crate::server::Batch;
use crate::server::BatchNews;
use crate::server::Slice;
use crate::wire::batch::BatchDone;
use crate::wire::batch::PathSet;
use crate::wire::message::CallError;
use crate::wire::message::Reason;
use crate::wire::route::Family;
use crate::wire::route::Path;
use crate::wire::route::PathSpec;
use route::Prefix;
use std::sync::mpsc;

/// Makes a batch true.
pub(super) fn commit(fake: &mut Fake, batch: &Batch) -> Answer<mpsc::Receiver<BatchNews>> {
    let (sender, news) = mpsc::channel();
    let progress = BatchDone {
        done: 1,
        total: 2,
        ..BatchDone::default()
    };
    sender.send(BatchNews::Progress(progress)).unwrap();
    sender.send(BatchNews::Ended(load(fake, batch))).unwrap();
    Ok(news)
}

fn load(fake: &mut Fake, batch: &Batch) -> Answer<BatchDone> {
    for (prefix, set) in &batch.routes {
        let far = |path: &PathSpec| path.gateway == "172.16.0.1".parse().ok();
        if batch.sets[*set as usize].paths.iter().any(far) {
            let line = format!("{prefix}: Network is unreachable: no port");
            return Err(CallError::refused(Reason::Unreachable, line));
        }
        if prefix.to_string() == "192.0.2.0/24" {
            let line = format!("{prefix} is the network of port rack");
            return Err(CallError::refused(Reason::Invalid, line));
        }
    }
    let mut done = BatchDone::default();
    let named = |prefix: &Prefix| batch.routes.iter().any(|(named, _)| named == prefix);
    let doomed =
        |prefix: &Prefix| batch.replace.contains(&Family::of(prefix.addr())) && !named(prefix);
    let before = fake.routes.len();
    fake.routes.retain(|route| !doomed(&route.destination));
    done.deleted = (before - fake.routes.len()) as u64;
    for (prefix, set) in &batch.routes {
        let paths: Vec<Path> = batch.sets[*set as usize]
            .paths
            .iter()
            .zip(1..)
            .map(|(spec, at)| path(spec, at))
            .collect();
        match fake.find(*prefix) {
            Some(old) if same(&old.paths, &paths) => {}
            Some(old) => {
                old.paths = paths;
                done.changed += 1;
            }
            None => {
                fake.routes.push(route(*prefix, paths));
                done.added += 1;
            }
        }
    }
    fake.routes.sort_by_key(|route| route.destination);
    Ok(done)
}

fn same(old: &[Path], new: &[Path]) -> bool {
    let names = |paths: &[Path]| -> Vec<(String, u32)> {
        paths
            .iter()
            .map(|path| (path.name(), path.weight))
            .collect()
    };
    names(old) == names(new)
}

/// The routes, each with a set of its own.
pub(super) fn export(
    fake: &Fake,
    family: Option<Family>,
    after: Option<Prefix>,
    max: usize,
) -> Slice {
    let of_family = |prefix: Prefix| family.is_none_or(|f| f == Family::of(prefix.addr()));
    let routes = fake
        .routes
        .iter()
        .filter(|route| after.is_none_or(|after| after < route.destination))
        .filter(|route| of_family(route.destination))
        .take(max);
    let mut slice = Slice::default();
    for route in routes {
        let spec = |path: &Path| PathSpec {
            kind: path.kind,
            gateway: path.gateway,
            weight: Some(path.weight).filter(|weight| *weight != 1),
            ..PathSpec::default()
        };
        slice.sets.push(PathSet {
            paths: route.paths.iter().map(spec).collect(),
            options: Default::default(),
        });
        slice
            .routes
            .push((route.destination, slice.sets.len() as u32 - 1));
        slice.last = Some(route.destination);
    }
    slice
}
