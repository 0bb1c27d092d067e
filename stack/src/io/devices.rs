//! The ports' devices while the gateway runs: what becomes of them, and how they come back.
//!
//! One thread listens for announcements of the kernel and tells control. A device that was deleted is opened again, at
//! once if it can be, else with a wait that doubles up to five seconds, and whenever the kernel announces a device. Its
//! new queues go to the workers by control's mailboxes ([`Replacement`]); the dead ones come back here to be closed, as
//! that can take a while.

use super::Queue;
use super::device::Spec;
use super::netlink::DeviceWatch;
use super::poll::{Clock, Poller};
use super::steer::Programs;
use super::wake::Waker;
use super::xdp::{self, Chosen};
use crate::ports::DeviceState;
use arp::Mac;
use route::PortId;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// The first wait between two attempts to open a device again, and the longest, ms.
const FIRST_WAIT_MS: u64 = 100;
const LONGEST_WAIT_MS: u64 = 5_000;
/// How often interfaces of XDP sockets are asked for their queues, ms: nothing announces that their number changes.
const QUEUES_MS: u64 = 5_000;
/// How often it is asked whether all workers have their new queue, ms.
const LOOK_MS: u64 = 20;

/// A port's new queues, one for each worker, on their way; and its dead ones on theirs.
pub struct Replacement {
    /// The port.
    pub port: PortId,
    /// Its hardware address, if that is its interface's.
    pub mac: Option<Mac>,
    /// How frames get to it, if it is one of XDP sockets.
    pub mode: Option<Chosen>,
    queues: Vec<Mutex<Option<Box<dyn Queue>>>>,
    /// Workers that are still to take theirs.
    left: AtomicUsize,
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replacement of {:?}", self.port)
    }
}

impl Replacement {
    /// Queues for all workers.
    pub fn new(port: PortId, mac: Option<Mac>, queues: Vec<Box<dyn Queue>>) -> Self {
        let left = AtomicUsize::new(queues.len());
        let queues = queues.into_iter().map(|queue| Mutex::new(Some(queue)));
        Self {
            port,
            mac,
            mode: None,
            queues: queues.collect(),
            left,
        }
    }

    /// Puts a worker's new queue in the place of the dead one, which is left here. Never waits: nobody else touches this
    /// worker's place.
    pub fn exchange(&self, worker: usize, queue: &mut Box<dyn Queue>) {
        let Some(place) = self.queues.get(worker) else {
            return;
        };
        let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = place.as_mut() {
            std::mem::swap(fresh, queue);
            self.left.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether every worker has its new queue.
    pub fn is_done(&self) -> bool {
        self.left.load(Ordering::Acquire) == 0
    }
}

/// What control is told.
#[derive(Debug)]
pub enum News {
    /// A port's device is up, down or gone.
    State(PortId, DeviceState),
    /// A port has a new device; [`News::State`] follows.
    Replaced(Arc<Replacement>),
    /// A device that is gone cannot be opened again, for now; told once until the reason changes.
    Refused(PortId, String),
    /// The MTU of a port's interface is smaller than the port's by now; `None`: it is no more.
    Mtu(PortId, Option<u32>),
    /// A device is there and does not carry all frames, with what to do about it; `None`: it does again.
    Partly(PortId, Option<String>),
}

/// A device that is looked after.
struct Kept {
    port: PortId,
    spec: Spec,
    /// When it is tried again, and how long the wait was; `None` while it is there.
    again: Option<(u64, u64)>,
    refusal: String,
    /// Its MTU, while that is smaller than the port's.
    short: Option<u32>,
    /// That it has queues which nobody reads.
    beside: Option<String>,
}

impl Kept {
    /// Why it does not carry all frames.
    fn partly(&self) -> Option<String> {
        let short = self.short.map(|has| self.spec.too_short(has));
        let both: Vec<String> = short.into_iter().chain(self.beside.clone()).collect();
        (!both.is_empty()).then(|| both.join("; "))
    }
}

/// All of them.
pub struct Devices {
    watch: DeviceWatch,
    kept: Vec<Kept>,
    steering: Option<Programs>,
    clock: Clock,
    told: Sender<News>,
    control: Waker,
    under_way: Vec<Arc<Replacement>>,
    /// When interfaces are asked for their queues next, ms; `None`: there is none to ask.
    queues_at: Option<u64>,
}

/// The thread that looks after devices.
pub struct Keeping {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Keeping {
    /// Ends it.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        // A panic has been told already.
        let _ = self.thread.join();
    }
}

impl Devices {
    /// Looks after these devices, each with its interface number. Control is told by `told`, and woken.
    ///
    /// # Errors
    /// They cannot be listened for.
    pub fn new(
        devices: Vec<(Spec, u32)>,
        steering: Option<Programs>,
        clock: Clock,
        (told, control): (Sender<News>, Waker),
    ) -> io::Result<Self> {
        let numbered = || (0..).map(PortId).zip(&devices);
        let watch = DeviceWatch::open(numbered().map(|(port, (_, ifindex))| (port, *ifindex)))?;
        let kept = numbered().map(|(port, (spec, _))| Kept {
            port,
            spec: spec.clone(),
            again: None,
            refusal: String::new(),
            short: None,
            beside: None,
        });
        let has_xdp = devices.iter().any(|(spec, _)| matches!(spec, Spec::Xdp(_)));
        Ok(Self {
            queues_at: has_xdp.then_some(0),
            watch,
            kept: kept.collect(),
            steering,
            clock,
            told,
            control,
            under_way: Vec::new(),
        })
    }

    /// Gives it its thread.
    ///
    /// # Errors
    /// No thread, or no descriptor.
    pub fn start(self) -> io::Result<Keeping> {
        let (stop, waker) = (Arc::new(AtomicBool::new(false)), Waker::new()?);
        let (halt, bell) = (Arc::clone(&stop), waker.clone());
        let thread = std::thread::Builder::new()
            .name("fg-devices".into())
            .spawn(move || self.run(&halt, &bell))?;
        Ok(Keeping {
            stop,
            waker,
            thread,
        })
    }

    fn run(mut self, stop: &AtomicBool, bell: &Waker) {
        let mut poller = Poller::new();
        while !stop.load(Ordering::Acquire) {
            if let Err(error) = self.turn() {
                tracing::error!(%error, "devices are not watched any more");
                return;
            }
            bell.prepare_sleep();
            if !stop.load(Ordering::Acquire) {
                let fds = bell.fd().into_iter().chain([self.watch.fd()]);
                if let Err(error) = poller.wait_each(fds, self.timeout_ms()) {
                    tracing::error!(%error, "poll failed");
                }
            }
            bell.awake();
        }
    }

    /// One look at everything.
    ///
    /// # Errors
    /// The kernel's announcements cannot be heard any more.
    fn turn(&mut self) -> io::Result<()> {
        self.under_way.retain(|replacement| !replacement.is_done());
        let mut states = Vec::new();
        let is_new = self.watch.is_asked();
        let heard = self.watch.look(|port, state| states.push((port, state)))?;
        for (port, state) in states {
            self.note(port, state);
        }
        let now = self.clock.ms();
        for at in 0..self.kept.len() {
            let due = self.kept.get(at).and_then(|kept| kept.again);
            if due.is_some_and(|(due, _)| heard || due <= now) {
                self.open_again(at, now);
            }
        }
        if heard || is_new {
            self.ask_for_mtus();
        }
        if self.queues_at.is_some_and(|at| heard || at <= now) {
            self.queues_at = Some(now + QUEUES_MS);
            self.ask_for_queues();
        }
        Ok(())
    }

    /// Interfaces whose MTU is below their port's by now: the kernel would lose what is longer without a word.
    fn ask_for_mtus(&mut self) {
        self.ask(|watch, kept| {
            let mtu = watch.mtu(kept.port).filter(|_| kept.again.is_none());
            kept.short = mtu.filter(|has| kept.spec.is_short(*has));
        });
    }

    /// Interfaces that have other queues than they had.
    fn ask_for_queues(&mut self) {
        self.ask(|_, kept| {
            if let Spec::Xdp(spec) = &kept.spec {
                // One that is gone is told as that.
                kept.beside = xdp::beside(spec).filter(|_| kept.again.is_none());
            }
        });
    }

    /// Asks for something that may be wrong with each device, and tells of those with which something else is.
    fn ask(&mut self, ask: impl Fn(&DeviceWatch, &mut Kept)) {
        let mut changed = Vec::new();
        for kept in &mut self.kept {
            let (short, before) = (kept.short, kept.partly());
            ask(&self.watch, kept);
            if kept.short != short {
                changed.push(News::Mtu(kept.port, kept.short));
            }
            let partly = kept.partly();
            if partly != before {
                changed.push(News::Partly(kept.port, partly));
            }
        }
        changed.into_iter().for_each(|news| self.tell(news));
    }

    fn note(&mut self, port: PortId, mut state: DeviceState) {
        let now = self.clock.ms();
        if let Some(kept) = self.kept.iter_mut().find(|kept| kept.port == port) {
            // A TUN that moved to another namespace still carries packets; the sockets of an interface stay behind.
            if state == DeviceState::Moved && !matches!(kept.spec, Spec::Made(_)) {
                state = DeviceState::Deleted;
            }
            // It came back from there, by its old number; its sockets did not. It is opened again, and then told.
            if kept.again.is_some() && state != DeviceState::Deleted {
                kept.again = Some((now, 0));
                return;
            }
            kept.again = (state == DeviceState::Deleted).then_some((now, 0));
        }
        self.tell(News::State(port, state));
    }

    fn open_again(&mut self, at: usize, now: u64) {
        let Some(kept) = self.kept.get_mut(at) else {
            return;
        };
        match kept.spec.open(self.steering.as_ref()) {
            Ok(opened) => {
                kept.again = None;
                kept.refusal.clear();
                let port = kept.port;
                for warning in &opened.warnings {
                    tracing::warn!(port = opened.name, "{warning}");
                }
                let replacement = Arc::new(Replacement {
                    mode: opened.mode,
                    ..Replacement::new(port, opened.mac, opened.queues)
                });
                self.under_way.push(Arc::clone(&replacement));
                self.tell(News::Replaced(replacement));
                self.watch.follow(port, opened.ifindex);
            }
            Err(error) => {
                let waited = kept.again.map_or(0, |(_, waited)| waited);
                let wait = (waited * 2).clamp(FIRST_WAIT_MS, LONGEST_WAIT_MS);
                kept.again = Some((now + wait, wait));
                let line = error.to_string();
                if line != kept.refusal {
                    kept.refusal.clone_from(&line);
                    let port = kept.port;
                    self.tell(News::Refused(port, line));
                }
            }
        }
    }

    fn tell(&self, news: News) {
        // Control is gone only when the gateway ends.
        let _ = self.told.send(news);
        self.control.wake();
    }

    fn timeout_ms(&self) -> Option<u64> {
        let now = self.clock.ms();
        let again = self.kept.iter().filter_map(|kept| kept.again);
        let next = again.map(|(at, _)| at.saturating_sub(now).max(1)).min();
        let look = (!self.under_way.is_empty()).then_some(LOOK_MS);
        let asked = self.watch.is_asked().then_some(0);
        let queues = self.queues_at.map(|at| at.saturating_sub(now).max(1));
        [next, look, asked, queues].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::mem;
    use crate::io::netlink::Netlink;
    use crate::io::netns::{
        current_netns, in_child_namespace, new_child_netns_thread, thread_in_netns,
    };
    use crate::io::packet::PacketSpec;
    use crate::io::tun::{DeviceSpec, Kind};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    fn next(news: &Receiver<News>) -> News {
        news.recv_timeout(Duration::from_secs(10))
            .expect("news within ten seconds")
    }

    fn is_state(news: &News, state: DeviceState) -> bool {
        matches!(news, News::State(PortId(0), told) if *told == state)
    }

    /// Waits for a state; what comes before it is returned.
    fn until(news: &Receiver<News>, state: DeviceState) -> Vec<News> {
        let mut before = Vec::new();
        loop {
            let told = next(news);
            if is_state(&told, state) {
                return before;
            }
            before.push(told);
        }
    }

    #[test]
    fn queues_that_an_interface_gets_beside_its_port_are_told_until_they_are_gone() {
        let test = "io::devices::tests::queues_that_an_interface_gets_beside_its_port_are_told_until_they_are_gone";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        if let Err(error) = xdp::may_load() {
            eprintln!("\n*** SKIPPED {test}: {error}");
            return;
        }
        let netlink = Netlink::open().unwrap();
        let done = |line: &str| {
            let mut words = line.split(' ');
            let program = words.next().unwrap_or_default();
            let ran = std::process::Command::new(program).args(words).status();
            ran.is_ok_and(|status| status.success())
        };
        if !done("ip link add near numrxqueues 4 type veth peer name far")
            || !done("ethtool -L near rx 1")
        {
            assert!(std::env::var_os("CI").is_none(), "it takes ip and ethtool");
            eprintln!("\n*** SKIPPED {test}: it takes ip and ethtool");
            return;
        }
        netlink.link_up("far").unwrap();
        let queues = |n: u32| assert!(done(&format!("ethtool -L near rx {n}")));
        let spec = xdp::XdpSpec::new("near");
        let (keeping, news, held) = looked_after(Spec::Xdp(spec));
        let partly = || loop {
            if let News::Partly(PortId(0), told) = next(&news) {
                return told;
            }
        };
        queues(3);
        let line = partly().expect("that it has more");
        assert!(
            line.starts_with("'near' has 3 queues now, and 1 are read"),
            "{line}"
        );
        assert!(line.contains("ethtool -L near combined 1"), "{line}");
        queues(1);
        assert_eq!(partly(), None);
        keeping.stop();
        drop(held);
    }

    fn looked_after(spec: Spec) -> (Keeping, Receiver<News>, Vec<Box<dyn Queue>>) {
        let opened = spec.open(None).unwrap();
        let (told, news) = channel();
        let devices = vec![(spec, opened.ifindex)];
        let devices = Devices::new(devices, None, Clock::start(), (told, Waker::null()));
        let keeping = devices.unwrap().start().unwrap();
        until(&news, DeviceState::Up);
        (keeping, news, opened.queues)
    }

    #[test]
    fn an_interface_whose_mtu_is_lowered_is_told_until_it_is_not() {
        let test = "io::devices::tests::an_interface_whose_mtu_is_lowered_is_told_until_it_is_not";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        netlink.veth("near", "far").unwrap();
        netlink.link_up("far").unwrap();
        let near = netlink.link_index("near").unwrap();
        let (keeping, news, queues) = looked_after(Spec::Found(PacketSpec::new("near")));
        netlink.set_mtu(near, 1400).unwrap();
        let told = next(&news);
        assert!(matches!(told, News::Mtu(PortId(0), Some(1400))), "{told:?}");
        let told = next(&news);
        let line = "interface 'near' has the MTU 1400 now, the port 1500: what is longer is cut, or refused as too big: \
                    'ip link set near mtu 1500', or write mtu = 1400 and start flowgate again";
        assert!(
            matches!(&told, News::Partly(PortId(0), Some(why)) if why == line),
            "{told:?}"
        );
        netlink.set_mtu(near, 9000).unwrap();
        let told = next(&news);
        assert!(matches!(told, News::Mtu(PortId(0), None)), "{told:?}");
        let told = next(&news);
        assert!(matches!(told, News::Partly(PortId(0), None)), "{told:?}");
        keeping.stop();
        drop(queues);
    }

    #[test]
    fn a_worker_exchanges_its_queue_once() {
        let (mut queues, _peers) = mem::pair(3, 8, 1500);
        let mut mine: Box<dyn Queue> = Box::new(queues.pop().unwrap());
        let fresh = queues.into_iter().map(|q| Box::new(q) as Box<dyn Queue>);
        let replacement = Replacement::new(PortId(0), None, fresh.collect());
        replacement.exchange(7, &mut mine);
        assert!(!replacement.is_done());
        replacement.exchange(0, &mut mine);
        assert!(!replacement.is_done());
        replacement.exchange(1, &mut mine);
        assert!(replacement.is_done());
    }

    #[test]
    fn a_tun_that_was_deleted_is_made_anew() {
        let test = "io::devices::tests::a_tun_that_was_deleted_is_made_anew";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let spec = DeviceSpec {
            queues: 2,
            ..DeviceSpec::new(Kind::Tun, "fg0")
        };
        let (keeping, news, mut queues) = looked_after(Spec::Made(spec));
        let netlink = Netlink::open().unwrap();
        for _ in 0..3 {
            netlink
                .link_del(netlink.link_index("fg0").unwrap())
                .unwrap();
            until(&news, DeviceState::Deleted);
            let before = until(&news, DeviceState::Up);
            let replacement = before.iter().find_map(|told| match told {
                News::Replaced(replacement) => Some(replacement),
                _ => None,
            });
            let replacement = replacement.expect("new queues before its state");
            for (worker, queue) in queues.iter_mut().enumerate() {
                replacement.exchange(worker, queue);
            }
            assert!(replacement.is_done());
        }
        keeping.stop();
    }

    #[test]
    fn an_interface_is_opened_again_when_there_is_one_of_its_name() {
        let test = "io::devices::tests::an_interface_is_opened_again_when_there_is_one_of_its_name";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        let cable = || {
            netlink.veth("near", "far").unwrap();
            netlink.link_up("far").unwrap();
        };
        cable();
        let (keeping, news, queues) = looked_after(Spec::Found(PacketSpec::new("near")));
        netlink
            .link_del(netlink.link_index("near").unwrap())
            .unwrap();
        until(&news, DeviceState::Deleted);
        let told = next(&news);
        assert!(
            matches!(&told, News::Refused(PortId(0), why) if why.contains("no interface 'near'")),
            "{told:?}"
        );
        cable();
        let before = until(&news, DeviceState::Up);
        assert!(
            before.iter().any(|told| matches!(told, News::Replaced(_))),
            "{before:?}"
        );
        assert!(
            !before.iter().any(|told| matches!(told, News::Refused(..))),
            "told once"
        );
        keeping.stop();
        drop(queues);
    }

    #[test]
    fn an_interface_that_comes_back_from_another_namespace_is_opened_again() {
        let test = "io::devices::tests::an_interface_that_comes_back_from_another_namespace_is_opened_again";
        if !in_child_namespace(test).is_inside() {
            return;
        }
        let netlink = Netlink::open().unwrap();
        netlink.veth("near", "far").unwrap();
        netlink.link_up("far").unwrap();
        let (keeping, news, queues) = looked_after(Spec::Found(PacketSpec::new("near")));
        let home = current_netns().unwrap();
        let away = new_child_netns_thread(current_netns).unwrap().unwrap();
        // Its number stays.
        let near = netlink.link_index("near").unwrap();
        netlink.move_to_netns(near, &away).unwrap();
        until(&news, DeviceState::Deleted);
        let back = thread_in_netns(away, || Netlink::open()?.move_to_netns(near, home));
        back.unwrap().unwrap();
        let before = until(&news, DeviceState::Up);
        let replaced = |told: &News| matches!(told, News::Replaced(_));
        assert!(before.iter().any(replaced), "{before:?}");
        keeping.stop();
        drop(queues);
    }
}
