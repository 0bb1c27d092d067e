//! Interfaces whose MTU changes while the gateway runs. A port takes no more than its interface does at present, and never more than
//! it is configured for; nor does a VLAN, whose tag is not counted. Next hops keep the MTU that they were given, so all is as before
//! when the interface has its own again: who sends takes the smaller of the two ([`Ports::takes_by`](crate::ports::Ports::takes_by)).

use super::Control;
use crate::host::{HostCmd, HostLink};
use crate::ports::Port;
use route::PortId;

impl Control {
    /// A port's interface takes packets of `mtu` bytes at most; `None`: as many as the port is configured for. Packets that are
    /// longer are cut or answered from the workers' next burst on (RFC 791 §2.3, RFC 1191 §4, RFC 8201 §4).
    pub fn interface_mtu(&mut self, id: PortId, mtu: Option<u32>, host: &mut dyn HostLink) {
        let is_there =
            |port: &Port| port.id == id || port.vlan.is_some_and(|vlan| vlan.parent == id);
        let mut changed = Vec::new();
        for port in self.ports.0.iter_mut().filter(|port| is_there(port)) {
            let narrowed = mtu.filter(|mtu| *mtu < port.mtu);
            if port.narrowed != narrowed {
                port.narrowed = narrowed;
                changed.push(port.clone());
            }
        }
        if changed.is_empty() {
            return;
        }
        self.publish_ports();
        // Its router advertisements tell the MTU of the link (RFC 4861 §4.6.4).
        for port in changed {
            host.call(HostCmd::SetPort(port));
        }
    }
}
