//! Ports going up and down. A port is up if the operator says so and its device carries frames; the two are kept
//! apart, so that a device that comes back does not undo the operator's word, nor the operator's word a lost device.
//! A VLAN's device is its parent: while that is down, so is the VLAN.

use super::{Control, ControlError, ControlEvent};
use crate::host::{HostCmd, HostLink};
use crate::io::devices::Replacement;
use crate::links::WorkerCmd;
use crate::ports::{DeviceState, Layer, Port, Ports};
use crate::time::Now;
use route::PortId;
use std::sync::Arc;

/// What speaks for and against a port.
#[derive(Clone, Copy, Debug)]
pub(super) struct Switch {
    /// The operator's word.
    told: bool,
    /// The kernel's.
    device: DeviceState,
}

impl Switch {
    /// The configuration's word for each port; devices carry frames until something else is heard.
    pub(super) fn of(ports: &Ports) -> Vec<Self> {
        let carrier = |port: &Port| {
            let parent = port.vlan.and_then(|vlan| ports.get(vlan.parent));
            parent.is_none_or(|parent| parent.up)
        };
        let of_port = |port: &Port| Self {
            told: port.up,
            device: carried(carrier(port)),
        };
        ports.0.iter().map(of_port).collect()
    }

    fn up(self) -> bool {
        self.told && self.device.carries()
    }
}

/// What a port is to its VLANs.
const fn carried(up: bool) -> DeviceState {
    match up {
        true => DeviceState::Up,
        false => DeviceState::Down,
    }
}

impl Control {
    /// Takes a port up or down: its next hops die or return. While its device is down it stays down.
    pub fn set_port(
        &mut self,
        name: &str,
        up: bool,
        host: &mut dyn HostLink,
        now: Now,
    ) -> Result<(), ControlError> {
        let Some(id) = self.ports.named(name).map(|p| p.id) else {
            return Err(self.no_such_port(name));
        };
        self.switch(id, |switch| switch.told = up, host, now);
        Ok(())
    }

    /// A port's device is up, down or gone: the port follows, unless the operator took it down.
    pub fn device_changed(
        &mut self,
        id: PortId,
        state: DeviceState,
        host: &mut dyn HostLink,
        now: Now,
    ) {
        let known = self.switches.get(usize::from(id.0));
        if known.is_none_or(|switch| switch.device == state) {
            return;
        }
        self.told.push(ControlEvent::Device {
            name: self.port_name(id),
            state,
        });
        self.switch(id, |switch| switch.device = state, host, now);
    }

    /// Changes what speaks for or against a port, and the port and its VLANs if that changes the sum.
    fn switch(
        &mut self,
        id: PortId,
        change: impl FnOnce(&mut Switch),
        host: &mut dyn HostLink,
        now: Now,
    ) {
        let Some(switch) = self.switches.get_mut(usize::from(id.0)) else {
            return;
        };
        change(switch);
        let device = carried(switch.up());
        let vlans: Vec<PortId> = self.ports.vlans_of(id).map(|port| port.id).collect();
        for vlan in &vlans {
            if let Some(switch) = self.switches.get_mut(usize::from(vlan.0)) {
                switch.device = device;
            }
        }
        let mut changed = vec![id];
        changed.extend(vlans);
        changed.retain(|id| self.follow_switch(*id));
        if !changed.is_empty() {
            self.switched(&changed, host, now);
        }
    }

    /// Whether a port is another than its switch says; it is what that says from now on.
    pub(super) fn follow_switch(&mut self, id: PortId) -> bool {
        let at = usize::from(id.0);
        let (Some(switch), Some(port)) = (self.switches.get(at), self.ports.0.get_mut(at)) else {
            return false;
        };
        std::mem::replace(&mut port.up, switch.up()) != switch.up()
    }

    /// These have come up or gone down.
    fn switched(&mut self, changed: &[PortId], host: &mut dyn HostLink, now: Now) {
        let ports: Vec<Port> = changed
            .iter()
            .filter_map(|id| self.ports.get(*id))
            .cloned()
            .collect();
        for port in &ports {
            host.call(HostCmd::SetPort(port.clone()));
        }
        self.publish_ports();
        for port in &ports {
            self.port_health(port.id, port.up, now);
        }
        self.settle(host, now);
        self.told
            .extend(ports.into_iter().map(|port| ControlEvent::Port {
                name: port.name,
                up: port.up,
            }));
    }

    /// A port has a new device: its queues go to the workers, and its hardware address is known when it comes up. `false`, and nothing was done, if a worker's mailbox is full:
    /// try again.
    pub fn replace(&mut self, replacement: &Arc<Replacement>) -> bool {
        if self.workers.iter().any(|worker| worker.mailbox.is_full()) {
            return false;
        }
        for worker in &mut self.workers {
            // It has room: nobody else fills it.
            let _ = worker
                .mailbox
                .push(WorkerCmd::Replace(Arc::clone(replacement)));
        }
        if let Some(mac) = replacement.mac {
            let of = replacement.port;
            let vlan = |port: &Port| port.vlan.is_some_and(|vlan| vlan.parent == of);
            let all = self.ports.0.iter_mut();
            for port in all.filter(|port| port.id == of || vlan(port)) {
                port.layer = Layer::L2(mac);
            }
        }
        self.wake_workers();
        true
    }

    /// Publishes the ports; the old object is kept until no worker can hold it, so that none ever frees it.
    pub(super) fn publish_ports(&mut self) {
        let old = self.published.swap(Arc::new(self.ports.clone()));
        let epoch = self.view.qsbr().advance();
        self.retired.push((epoch, old));
        self.wake_workers();
    }
}
