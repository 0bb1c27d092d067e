//! A steering program: the kernel puts each packet on the queue of the worker that owns its flow.
//!
//! Packet sockets take the same program as their fanout. Without it TUN and TAP learn on which queue a flow is answered, know 4,096 flows, and forget after 3 s. With it no packet
//! of a flow has to be handed off, from the first one on. The program is eBPF of the socket-filter type
//! (`TUNSETSTEERINGEBPF`), made here instruction by instruction: it computes the owner function
//! ([`flowtable::OwnerHash`]) and looks the slot up in an array of 256 workers, which is changed when slots move.
//!
//! It knows what has an owner by one look: IPv4 and IPv6 without extension headers, with the ports or the identifier of
//! what has them, in Ethernet frames with a VLAN tag too (most have it beside the frame, where this program does not see it; a
//! bridge or a raw socket leaves it within). Pieces of datagrams, ICMP errors (they belong to what they quote) and anything else go to queue 0, whose
//! worker hands them to whom they belong. To load it takes root, or CAP_BPF and CAP_NET_ADMIN, of the machine: those of a
//! user namespace do not count.

#[cfg(test)]
mod tests;

use super::asm::{Asm, If, Insn, Label, Op, Reg, Size};
use super::sys;
use super::tun::{Device, Kind};
use crate::parse::proto;
use crate::slots::SlotMap;
use crate::vlan;
use flowtable::{OwnerHash, SLOTS};
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

/// Why there is no steering: one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SteerError {
    /// No right to load programs.
    #[error(
        "loading an eBPF program needs root (or CAP_BPF and CAP_NET_ADMIN) outside of any user namespace"
    )]
    NotAllowed,
    /// The kernel refuses something else.
    #[error("the kernel refuses to {0}: {1}")]
    Refused(&'static str, Errno),
}

impl SteerError {
    fn of(doing: &'static str) -> impl Fn(Errno) -> Self {
        move |errno| match errno {
            Errno::EPERM | Errno::EACCES => Self::NotAllowed,
            errno => Self::Refused(doing, errno),
        }
    }
}

/// The programs and the array of slots that they read.
#[derive(Debug)]
pub struct Steering {
    map: OwnedFd,
    programs: Programs,
    slots: SlotMap,
}

/// The programs, for who opens devices.
#[derive(Clone, Debug)]
pub struct Programs {
    tun: Arc<OwnedFd>,
    tap: Arc<OwnedFd>,
}

impl Programs {
    /// Has the device steered, all its queues.
    ///
    /// # Errors
    /// A kernel before 4.16, or a device that has gone.
    pub fn attach(&self, device: &Device) -> Result<(), SteerError> {
        let program = match device.kind {
            Kind::Tun => &self.tun,
            Kind::Tap => &self.tap,
        };
        let queue = device.queues.first().ok_or(Errno::ENODEV);
        queue
            .and_then(|queue| sys::tun_set_steering(queue.device(), program.as_fd()))
            .map_err(SteerError::of("steer the device"))
    }

    /// The program for packet sockets, which see a frame from its IP header on, as TUN does.
    pub(super) fn packets(&self) -> u32 {
        self.tun.as_raw_fd().cast_unsigned()
    }
}

impl Steering {
    /// Loads the programs for TUN and TAP, with this owner function and these slots.
    ///
    /// # Errors
    /// No right to do it, or a kernel that cannot.
    pub fn load(owner: &OwnerHash, slots: &SlotMap) -> Result<Self, SteerError> {
        let map = sys::bpf_array(SLOTS as u32).map_err(SteerError::of("make an array of slots"))?;
        for (slot, worker) in (0..).zip(slots) {
            sys::bpf_set(map.as_fd(), slot, u32::from(*worker))
                .map_err(SteerError::of("write the array of slots"))?;
        }
        let load = |kind| {
            let program = program(owner, kind, map.as_raw_fd());
            let loaded = sys::bpf_load(sys::Program::SocketFilter, &program).map(Arc::new);
            loaded.map_err(SteerError::of("load the steering program"))
        };
        let (tun, tap) = (load(Kind::Tun)?, load(Kind::Tap)?);
        Ok(Self {
            map,
            programs: Programs { tun, tap },
            slots: *slots,
        })
    }

    /// The programs, for who opens devices.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// Slots have changed their workers.
    ///
    /// # Errors
    /// The kernel refuses; what was not written is tried again with the next call.
    pub fn update(&mut self, slots: &SlotMap) -> Result<(), SteerError> {
        for (slot, (was, is)) in (0..).zip(self.slots.iter_mut().zip(slots)) {
            if was != is {
                sys::bpf_set(self.map.as_fd(), slot, u32::from(*is))
                    .map_err(SteerError::of("write the array of slots"))?;
                *was = *is;
            }
        }
        Ok(())
    }
}

const R0: Reg = Reg(0);
const R1: Reg = Reg(1);
const R2: Reg = Reg(2);
/// The packet, as loads of its bytes want it.
const PACKET: Reg = Reg(6);
/// Where the transport header begins.
const L4: Reg = Reg(7);
const R8: Reg = Reg(8);
const R9: Reg = Reg(9);
const STACK: Reg = Reg(10);

/// On the stack: the slot; both ends' addresses (for IPv6, a word made of each), the protocol, both ports, a sum.
const SLOT: i16 = -4;
const SRC: i16 = -16;
const DST: i16 = -24;
const PROTO: i16 = -32;
const SPORT: i16 = -40;
const DPORT: i16 = -48;
const SUM: i16 = -56;

const V4: Label = Label(0);
const V6: Label = Label(1);
const TRANSPORT: Label = Label(2);
const PORTS: Label = Label(3);
const NO_PORTS: Label = Label(4);
const ICMP: Label = Label(5);
const ICMP6: Label = Label(6);
const IDENT: Label = Label(7);
const HASH: Label = Label(8);
const OTHER: Label = Label(9);
const TAGGED4: Label = Label(10);
const TAGGED6: Label = Label(11);

/// `bpf_map_lookup_elem`.
const LOOKUP: i32 = 1;

/// The program for a device, reading the map of this descriptor.
fn program(owner: &OwnerHash, kind: Kind, map: i32) -> Vec<Insn> {
    let mut asm = Asm::default();
    let ip = match kind {
        Kind::Tun => 0,
        Kind::Tap => 14,
    };
    asm.reg(Op::Mov, PACKET, R1);
    family(&mut asm, kind);
    if kind == Kind::Tap {
        let ip = ip + vlan::TAG as i32;
        read4(&mut asm, TAGGED4, ip);
        read6(&mut asm, TAGGED6, ip, owner);
    }
    read4(&mut asm, V4, ip);
    read6(&mut asm, V6, ip, owner);
    transport(&mut asm);
    hash(&mut asm, owner);
    answer(&mut asm, map);
    asm.done()
}

fn family(asm: &mut Asm, kind: Kind) {
    match kind {
        Kind::Tun => {
            asm.packet(Size::Byte, 0);
            asm.number(Op::Rsh, R0, 4);
            asm.jump_if(If::Equal, R0, 4, V4);
            asm.jump_if(If::Equal, R0, 6, V6);
        }
        Kind::Tap => {
            asm.packet(Size::Half, 12);
            asm.jump_if(If::Equal, R0, 0x0800, V4);
            asm.jump_if(If::Equal, R0, 0x86dd, V6);
            asm.jump_if(
                If::Unequal,
                R0,
                u16::from_be_bytes(vlan::TPID).into(),
                OTHER,
            );
            asm.packet(Size::Half, 16);
            asm.jump_if(If::Equal, R0, 0x0800, TAGGED4);
            asm.jump_if(If::Equal, R0, 0x86dd, TAGGED6);
        }
    }
    asm.jump(OTHER);
}

fn read4(asm: &mut Asm, here: Label, ip: i32) {
    asm.label(here);
    asm.packet(Size::Byte, ip);
    asm.reg(Op::Mov, L4, R0);
    asm.number(Op::And, L4, 15);
    asm.number(Op::Lsh, L4, 2);
    asm.jump_if(If::Less, L4, 20, OTHER);
    asm.number(Op::Add, L4, ip);
    // A piece: more follow, or it is not the first.
    asm.packet(Size::Half, ip + 6);
    asm.number(Op::And, R0, 0x3fff);
    asm.jump_if(If::Unequal, R0, 0, OTHER);
    asm.packet(Size::Word, ip + 12);
    asm.keep(SRC, R0);
    asm.packet(Size::Word, ip + 16);
    asm.keep(DST, R0);
    asm.packet(Size::Byte, ip + 9);
    asm.keep(PROTO, R0);
    asm.jump_if(If::Equal, R0, proto::ICMP.into(), ICMP);
    asm.jump(TRANSPORT);
}

fn read6(asm: &mut Asm, here: Label, ip: i32, owner: &OwnerHash) {
    asm.label(here);
    asm.number(Op::Mov, L4, ip + 40);
    address6(asm, ip + 8, owner);
    asm.keep(SRC, R8);
    address6(asm, ip + 24, owner);
    asm.keep(DST, R8);
    asm.packet(Size::Byte, ip + 6);
    asm.keep(PROTO, R0);
    // Extension headers.
    for next in [0, 43, 44, 60] {
        asm.jump_if(If::Equal, R0, next, OTHER);
    }
    asm.jump_if(If::Equal, R0, proto::ICMP6.into(), ICMP6);
    asm.jump(TRANSPORT);
}

/// `r8 = ` the word of the IPv6 address at `at`.
fn address6(asm: &mut Asm, at: i32, owner: &OwnerHash) {
    let [_, _, high, low, _] = owner.keys();
    half6(asm, at, high);
    asm.keep(SUM, R8);
    half6(asm, at + 8, low);
    asm.kept(R1, SUM);
    asm.reg(Op::Add, R8, R1);
}

/// `r8 = ` eight bytes times a key.
fn half6(asm: &mut Asm, at: i32, key: u64) {
    asm.packet(Size::Word, at);
    asm.reg(Op::Mov, R8, R0);
    asm.number(Op::Lsh, R8, 32);
    asm.packet(Size::Word, at + 4);
    asm.reg(Op::Or, R8, R0);
    asm.wide(R1, key);
    asm.reg(Op::Mul, R8, R1);
}

fn transport(asm: &mut Asm) {
    asm.label(TRANSPORT);
    let with_ports = [
        proto::TCP,
        proto::UDP,
        proto::SCTP,
        proto::DCCP,
        proto::UDPLITE,
    ];
    for proto in with_ports {
        asm.jump_if(If::Equal, R0, proto.into(), PORTS);
    }
    asm.jump(NO_PORTS);
    asm.label(ICMP);
    asm.packet_at(Size::Byte, L4, 0);
    for query in [0, 8, 13, 14, 15, 16, 17, 18] {
        asm.jump_if(If::Equal, R0, query, IDENT);
    }
    for error in [3, 4, 5, 11, 12] {
        asm.jump_if(If::Equal, R0, error, OTHER);
    }
    asm.jump(NO_PORTS);
    asm.label(ICMP6);
    asm.packet_at(Size::Byte, L4, 0);
    for echo in [128, 129] {
        asm.jump_if(If::Equal, R0, echo, IDENT);
    }
    asm.jump_if(If::Less, R0, 128, OTHER);
    asm.label(NO_PORTS);
    asm.number(Op::Mov, R0, 0);
    asm.keep(SPORT, R0);
    asm.keep(DPORT, R0);
    asm.jump(HASH);
    asm.label(IDENT);
    asm.packet_at(Size::Half, L4, 4);
    asm.keep(SPORT, R0);
    asm.keep(DPORT, R0);
    asm.jump(HASH);
    asm.label(PORTS);
    asm.packet_at(Size::Half, L4, 0);
    asm.keep(SPORT, R0);
    asm.packet_at(Size::Half, L4, 2);
    asm.keep(DPORT, R0);
}

/// The owner function; the slot is kept.
fn hash(asm: &mut Asm, owner: &OwnerHash) {
    let [.., last] = owner.keys();
    asm.label(HASH);
    end(asm, owner, SRC, SPORT);
    asm.keep(SUM, R8);
    end(asm, owner, DST, DPORT);
    for part in [SUM, PROTO] {
        asm.kept(R1, part);
        asm.reg(Op::Add, R8, R1);
    }
    asm.wide(R1, last);
    asm.reg(Op::Mul, R8, R1);
    asm.number(Op::Rsh, R8, (64 - SLOTS.trailing_zeros()).cast_signed());
    asm.keep_word(SLOT, R8);
}

/// `r8 = ` what one end adds.
fn end(asm: &mut Asm, owner: &OwnerHash, addr: i16, port: i16) {
    let [addr_key, port_key, ..] = owner.keys();
    asm.kept(R8, addr);
    asm.wide(R1, addr_key);
    asm.reg(Op::Add, R8, R1);
    asm.kept(R9, port);
    asm.wide(R1, port_key);
    asm.reg(Op::Add, R9, R1);
    asm.reg(Op::Mul, R8, R9);
    asm.reg(Op::Mov, R9, R8);
    asm.number(Op::Rsh, R9, 32);
    asm.reg(Op::Xor, R8, R9);
}

fn answer(asm: &mut Asm, map: i32) {
    asm.map(R1, map);
    asm.reg(Op::Mov, R2, STACK);
    asm.number(Op::Add, R2, SLOT.into());
    asm.call(LOOKUP);
    asm.jump_if(If::Equal, R0, 0, OTHER);
    asm.word_at(R0, R0, 0);
    asm.exit();
    asm.label(OTHER);
    asm.number(Op::Mov, R0, 0);
    asm.exit();
}
