//! Control and view together: what an operator does, and what a worker sees of it.

mod batch;
mod fibs;
mod groups;
mod keep;
mod limits;
mod named;
mod preview;
mod random;
mod recursive;
mod routes;
mod selection;
mod start;
mod sticky;

use super::{Control, new};
use crate::config::Config;
use crate::ids::{NhopIdx, Pin, PortId, Secs};
use crate::info::{Change, PathInfo};
use crate::nhgrp::GroupRef;
use crate::nhop::{NhopKey, NhopKind, Path};
use crate::prefix::Prefix;
use crate::view::View;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

const BUCKETS: u32 = 64;

fn net(text: &str) -> Prefix {
    text.parse().unwrap()
}

fn key(host: u8) -> NhopKey {
    let gateway = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, host)));
    NhopKey {
        kind: NhopKind::Gateway,
        port: PortId(1),
        gateway,
    }
}

/// A path by gateway 192.0.2.`host`, whose neighbour has that number.
fn via(host: u8) -> Path {
    weighted(host, 1)
}

fn weighted(host: u8, weight: u32) -> Path {
    Path {
        key: key(host),
        weight,
        neigh: u32::from(host),
        mtu: 1500,
        through: None,
    }
}

fn alone(kind: NhopKind) -> Path {
    let key = NhopKey {
        kind,
        port: PortId(0),
        gateway: None,
    };
    Path {
        key,
        weight: 1,
        neigh: 0,
        mtu: 65_535,
        through: None,
    }
}

/// Route tables, and the time.
struct Lab {
    control: Control,
    view: Arc<View>,
    now: Secs,
}

impl Lab {
    fn new() -> Self {
        Self::with(Config {
            default_buckets: BUCKETS,
            ..Config::default()
        })
    }

    fn with(cfg: Config) -> Self {
        let (control, view) = new(cfg);
        Self {
            control,
            view,
            now: Secs(1000),
        }
    }

    fn add(&mut self, prefix: &str, paths: &[Path]) -> Change {
        self.control.add(net(prefix), paths, self.now).unwrap()
    }

    fn change(&mut self, prefix: &str, paths: &[Path]) -> Change {
        self.control
            .change(net(prefix), paths, None, self.now)
            .unwrap()
    }

    fn idx(&self, host: u8) -> NhopIdx {
        self.control.nhop(&key(host)).unwrap()
    }

    fn pin(&self, host: u8) -> Pin {
        Pin::new(
            self.idx(host),
            self.control.nhop_info(self.idx(host)).unwrap().generation,
        )
    }

    fn path(&self, prefix: &str, host: u8) -> PathInfo {
        let route = self.control.get(net(prefix)).unwrap();
        route
            .paths
            .into_iter()
            .find(|p| p.key == key(host))
            .unwrap()
    }

    /// The group that workers find for an IPv4 address.
    fn group(&self, dst: &str) -> Option<GroupRef<'_>> {
        let dst: Ipv4Addr = dst.parse().unwrap();
        self.view
            .lookup4(dst.to_bits())
            .map(|id| self.view.group(id))
    }

    fn stamp(&self, dst: &str) -> u32 {
        self.view.stamp4(dst.parse::<Ipv4Addr>().unwrap().to_bits())
    }

    /// The host number of each bucket's owner.
    fn owners(&self, dst: &str) -> Vec<Option<u8>> {
        let group = self.group(dst).unwrap();
        (0..group.buckets())
            .map(|b| group.owner(b).map(|pin| self.host(pin)))
            .collect()
    }

    fn host(&self, pin: Pin) -> u8 {
        self.view.attrs(pin.idx()).neigh as u8
    }

    /// The host number of each bucket's answer to a packet without a pin.
    fn stateless(&self, dst: &str, idle: u32) -> Vec<Option<u8>> {
        let group = self.group(dst).unwrap();
        let answer = |b| group.stateless(b, self.now, idle).map(|a| self.host(a.pin));
        (0..group.buckets()).map(answer).collect()
    }
}

fn count(owners: &[Option<u8>], host: u8) -> usize {
    owners.iter().filter(|o| **o == Some(host)).count()
}

fn moved(before: &[Option<u8>], after: &[Option<u8>]) -> usize {
    before.iter().zip(after).filter(|(b, a)| b != a).count()
}
