//! The program that hands frames to XDP sockets, and its place on an interface.
//!
//! `return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_PASS)`: a frame goes to the socket of the queue that it came by;
//! what comes by a queue without one goes to the kernel, as without the program. It is made here instruction by
//! instruction. A link holds it on the interface: when the last descriptor of that is closed, however the process ends, the
//! program goes.

use super::XdpError;
use super::refusal::Refused;
use crate::io::asm::{Asm, Insn, Op, Reg};
use crate::io::sys;
use nix::errno::Errno;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// `XDP_PASS`: on to the kernel's network stack.
const PASS: i32 = 2;
/// Where the queue is in `struct xdp_md`.
const QUEUE: i16 = 16;
/// `bpf_redirect_map`.
const REDIRECT: i32 = 51;

/// Who runs the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The driver, before the kernel makes a packet of its own from a frame.
    Driver,
    /// The kernel, behind the driver.
    Kernel,
}

impl Place {
    /// `XDP_FLAGS_DRV_MODE`, `XDP_FLAGS_SKB_MODE`.
    fn flag(self) -> u32 {
        match self {
            Self::Driver => 1 << 2,
            Self::Kernel => 1 << 1,
        }
    }
}

/// The program with this map of sockets.
fn program(sockets: i32) -> Vec<Insn> {
    let mut asm = Asm::default();
    asm.word_at(Reg(2), Reg(1), QUEUE);
    asm.map(Reg(1), sockets);
    asm.number(Op::Mov, Reg(3), PASS);
    asm.call(REDIRECT);
    asm.exit();
    asm.done()
}

/// What a veth means by it; others say what the number says.
fn why(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOSPC => "its peer sends by more queues than it receives by",
        Errno::ERANGE => "its MTU, or its peer's, is too large for that",
        errno => errno.desc(),
    }
}

/// The program in the kernel, with its map.
pub(super) fn load(name: &str, queues: u32) -> Result<(OwnedFd, OwnedFd), XdpError> {
    let at = |doing| XdpError::of(name, doing);
    let sockets = sys::bpf_sockets(queues).map_err(at("make a map of sockets"))?;
    let insns = program(sockets.as_raw_fd());
    let program = sys::bpf_load(sys::Program::Xdp, &insns).map_err(at("load its program"))?;
    Ok((program, sockets))
}

/// A program that runs on an interface, until this is dropped.
#[derive(Debug)]
pub(super) struct Attached {
    _link: OwnedFd,
    sockets: OwnedFd,
}

impl Attached {
    /// Loads the program and has the interface run it; no queue has a socket yet.
    pub(super) fn new(
        name: &str,
        ifindex: u32,
        queues: u32,
        place: Place,
    ) -> Result<Self, XdpError> {
        let at = |doing| XdpError::of(name, doing);
        let (program, sockets) = load(name, queues)?;
        let link = sys::bpf_link_xdp(program.as_fd(), ifindex, place.flag());
        let link = link.map_err(|errno| match errno {
            Errno::EBUSY | Errno::EEXIST => XdpError::Taken {
                name: name.to_owned(),
            },
            Errno::EPERM | Errno::EACCES | Errno::ENODEV => at("attach its program")(errno),
            errno => XdpError::refused(name, Refused::Program(place), why(errno)),
        })?;
        Ok(Self {
            _link: link,
            sockets,
        })
    }

    /// From here on what comes by `queue` goes to `socket`.
    pub(super) fn direct(&self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), Errno> {
        let socket = socket.as_raw_fd().cast_unsigned();
        sys::bpf_set(self.sockets.as_fd(), queue, socket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_six_instructions_that_pass_what_has_no_socket() {
        // r2 = *(u32 *)(r1 + 16); r1 = map 9; r3 = 2; call 51; exit: 6, as a map takes two places.
        let wanted: [Insn; 6] = [
            [0x61, 0x12, 16, 0, 0, 0, 0, 0],
            [0x18, 0x11, 0, 0, 9, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0xb7, 0x03, 0, 0, 2, 0, 0, 0],
            [0x85, 0, 0, 0, 51, 0, 0, 0],
            [0x95, 0, 0, 0, 0, 0, 0, 0],
        ];
        if cfg!(target_endian = "little") {
            assert_eq!(program(9), wanted);
        }
    }
}
