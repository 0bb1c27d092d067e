//! How long a silent flow is kept, by state.
//!
//! Shared by all writers of a table and changeable while they run: each value is one atomic that control
//! stores and writers load. A change holds from the next packet or sweep on, for old flows too.

use crate::state::{L4, State};
use crate::sync::{AtomicU32, Ordering::Relaxed};

/// Which of a table's sets of idle timeouts a flow has: 0 to 15. The flow gets it with its entry and keeps it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimeoutsNo(u8);

impl TimeoutsNo {
    /// How many there are.
    pub const COUNT: usize = 16;
    /// That of flows of which nobody says otherwise.
    pub const DEFAULT: Self = Self(0);

    /// The set with this number, by its lowest four bits.
    #[inline]
    pub const fn new(number: u8) -> Self {
        Self(number & (Self::COUNT as u8 - 1))
    }

    /// Its number.
    #[inline]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// Idle timeouts in seconds, by [`State`].
///
/// | state | default | why |
/// |---|---|---|
/// | `Syn` | 75 s | FreeBSD's `net.inet.tcp.keepinit`: the opener has given up |
/// | `SynAck`, `FinWait`, `Midstream` | 240 s | RFC 5382 REQ-5: partially open or closing, at least 4 min |
/// | `Established` | 7440 s | RFC 5382 REQ-5: at least 2 h 4 min, so that a 2 h keepalive holds it |
/// | `Closed` | 60 s | FreeBSD's TIME_WAIT: twice `net.inet.tcp.msl` |
/// | `Reset` | 10 s | long enough to see that a RST was forged |
/// | `Udp*` | 300 s | RFC 4787 REQ-5: 5 min recommended |
/// | `Icmp*` | 60 s | RFC 5508 REQ-2: at least 60 s |
/// | `Other*` | 300 s | as UDP |
///
/// One direction of UDP, ICMP and others is kept as long as two: under direct return a real flow shows no
/// more than one, and a flow must not lose its pin before its class's idle timeout, see
/// [`Writer::proves_new`](crate::Writer::proves_new). Flows that nothing confirmed make room by class, not by
/// a shorter timeout.
#[derive(Debug)]
pub struct Timeouts([AtomicU32; State::COUNT]);

impl Timeouts {
    /// The idle timeout of a state, seconds.
    #[inline]
    pub fn get(&self, state: State) -> u32 {
        self.0[state as usize].load(Relaxed)
    }

    /// Changes the idle timeout of a state; at least 1 s.
    pub fn set(&self, state: State, seconds: u32) {
        self.0[state as usize].store(seconds.max(1), Relaxed);
    }

    /// The longest that a flow of a packet's protocol stays pinned while idle, seconds: what a *stateless
    /// answer* for such a packet must remember (design section 4).
    pub fn idle(&self, l4: &L4) -> u32 {
        let longer = |a, b| self.get(a).max(self.get(b));
        match l4 {
            L4::Tcp { .. } => longer(State::Established, State::FinWait),
            L4::Udp => longer(State::UdpOneWay, State::UdpTwoWay),
            L4::Icmp => longer(State::IcmpOneWay, State::IcmpTwoWay),
            L4::Opener | L4::Other => longer(State::OtherOneWay, State::OtherTwoWay),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self(std::array::from_fn(|i| {
            AtomicU32::new(default_of(State::ALL[i]))
        }))
    }
}

fn default_of(state: State) -> u32 {
    match state {
        State::Syn => 75,
        State::SynAck | State::FinWait | State::Midstream => 240,
        State::Established => 7440,
        State::Closed => 60,
        State::Reset => 10,
        State::UdpOneWay | State::UdpTwoWay => 300,
        State::IcmpOneWay | State::IcmpTwoWay => 60,
        State::OtherOneWay | State::OtherTwoWay => 300,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_idle_timeout_is_the_longest_of_its_protocol_and_never_zero() {
        let timeouts = Timeouts::default();
        let tcp = L4::Tcp {
            flags: 0,
            seq: 0,
            ack: 0,
            window: 0,
            len: 0,
        };
        assert_eq!(timeouts.idle(&tcp), 7440);
        timeouts.set(State::UdpOneWay, 900);
        assert_eq!(
            (timeouts.idle(&L4::Udp), timeouts.get(State::UdpTwoWay)),
            (900, 300)
        );
        timeouts.set(State::IcmpTwoWay, 0);
        assert_eq!(
            (timeouts.get(State::IcmpTwoWay), timeouts.idle(&L4::Icmp)),
            (1, 60)
        );
        assert_eq!(timeouts.idle(&L4::Opener), timeouts.idle(&L4::Other));
    }
}
