//! What went over an interface, recorded by dumpcap and judged by tshark, where a test asks for it. (What every gateway of the
//! laboratory sends is judged unasked: [`super::judge`].)
//!
//! A recording is a second look at a test that has other things to show. So a machine without these
//! tools still runs the test, and says what it left out.

use super::process::{Process, Scratch};
use super::{Lab, PATIENCE, eventually, has_tools};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};

/// A recording in progress.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    file: PathBuf,
}

/// A finished recording.
#[derive(Debug)]
pub struct Recording {
    file: PathBuf,
}

/// tshark's filter for a packet that it cannot read or whose checksum is wrong.
///
/// An ICMP error may cut the packet that it quotes, and tshark then finds that packet's TCP or UDP
/// checksum wrong; the quoted IP header is always whole. And where a server's TCP checksum comes out as
/// 0, Linux writes the other zero, 0xffff, which tshark calls wrong (RFC 1624 §3); a gateway forwards it
/// as it is.
const WRONG: &str = "_ws.malformed || ip.checksum.status == \"Bad\" \
    || icmp.checksum.status == \"Bad\" || icmpv6.checksum.status == \"Bad\" \
    || (((tcp.checksum.status == \"Bad\" && !(tcp.checksum == 0xffff)) \
            || udp.checksum.status == \"Bad\") \
        && !(icmp.type in {3, 5, 11, 12}) && !(icmpv6.type in {1, 2, 3, 4, 137}))";

/// Checksums that tshark verifies only when asked to.
const CHECKS: [&str; 3] = [
    "ip.check_checksum:TRUE",
    "tcp.check_checksum:TRUE",
    "udp.check_checksum:TRUE",
];

impl Capture {
    /// Starts to record what an interface of the test's namespace sends and receives; nothing on a
    /// machine without the tools, which is said.
    ///
    /// # Panics
    /// dumpcap does not start.
    pub fn start(lab: &Lab, interface: &str) -> Option<Self> {
        if !has_tools(
            &format!("the recording of {interface}"),
            &["dumpcap", "tshark"],
        ) {
            return None;
        }
        let file = lab.scratch.path(&format!("{interface}.pcapng"));
        let path = file.to_string_lossy();
        let args = ["-q", "-i", interface, "-w", &*path];
        let mut process = lab.scratch.start(None, Path::new("dumpcap"), &args, &[]);
        // It names its file when the interface is open.
        let ready = eventually(|| process.stderr().contains("File:") || !process.is_running());
        assert!(
            ready && process.is_running(),
            "dumpcap: {}",
            process.stderr()
        );
        Some(Self { process, file })
    }

    /// Ends the recording.
    ///
    /// # Panics
    /// dumpcap fails.
    pub fn finish(self) -> Recording {
        // The kernel hands packets over in blocks, the last one after a quarter of a second; dumpcap looks as often.
        let before = self.process.sleeps();
        eventually(|| self.process.sleeps() >= before + 4);
        self.process.signal(Signal::SIGINT);
        self.process.finish(PATIENCE).success();
        Recording { file: self.file }
    }
}

impl Recording {
    /// What somebody else recorded into a file.
    pub(super) fn of(file: PathBuf) -> Self {
        Self { file }
    }

    /// The packets that a display filter of tshark's selects, one line each.
    ///
    /// # Panics
    /// tshark fails.
    pub fn select(&self, lab: &Lab, filter: &str) -> Vec<String> {
        self.select_in(&lab.scratch, filter)
    }

    fn select_in(&self, scratch: &Scratch, filter: &str) -> Vec<String> {
        let path = self.file.to_string_lossy();
        let mut args = vec!["-n", "-r", &*path, "-Y", filter];
        for check in CHECKS {
            args.extend(["-o", check]);
        }
        // Payloads are ours: no port that happens to be known says what they are.
        for ports in ["tcp.port==1-65535,data", "udp.port==1-65535,data"] {
            args.extend(["-d", ports]);
        }
        let ran = scratch.run(None, Path::new("tshark"), &args, PATIENCE);
        let found = ran.success();
        found.lines().map(str::to_owned).collect()
    }

    /// Those packets of `filter` that are malformed or have a wrong checksum.
    ///
    /// # Panics
    /// tshark fails.
    pub fn wrong(&self, lab: &Lab, filter: &str) -> Vec<String> {
        self.wrong_in(&lab.scratch, filter)
    }

    /// The same, where there is no laboratory.
    pub(super) fn wrong_in(&self, scratch: &Scratch, filter: &str) -> Vec<String> {
        self.select_in(scratch, &format!("({filter}) && ({WRONG})"))
    }
}
