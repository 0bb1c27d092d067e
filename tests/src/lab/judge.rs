//! An independent judge of everything that a gateway sends: tshark must find no packet that it cannot read and no wrong checksum.
//!
//! Every [`Gateway`](super::gateway::Gateway) has one, unasked: all that it sends by its ports, up to some megabytes a port, is
//! recorded while it runs, and judged when it has ended. A test that has something wrong sent on purpose, which a router passes
//! on as it is, says so by [`Judge::excuse`], with the reason.

use super::capture::Recording;
use super::has_tools;
use super::process::Scratch;
use super::tap::{Frames, Taps};
use std::path::PathBuf;

/// A recording in progress of what one gateway sends; judged when this is dropped.
#[derive(Debug)]
pub struct Judge<'a> {
    scratch: &'a Scratch,
    taps: Taps,
    file: PathBuf,
    excused: Vec<String>,
    judged: bool,
}

/// What the judge found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// How many packets it saw.
    pub packets: u64,
    /// Those that are malformed or have a wrong checksum and are not excused, a line each.
    pub wrong: Vec<String>,
}

impl<'a> Judge<'a> {
    /// Begins, with its files in `scratch`; `None` on a machine without tshark, which is said.
    ///
    /// # Panics
    /// tshark is missing, and the environment says `CI=true`.
    pub fn new(scratch: &'a Scratch) -> Option<Self> {
        if !has_tools("the judge of what Flowgate sends", &["tshark"]) {
            return None;
        }
        let file = scratch.fresh("judged.pcapng");
        Some(Self {
            scratch,
            taps: Taps::new(&file),
            file,
            excused: Vec::new(),
            judged: false,
        })
    }

    /// Records what comes in by an interface of the test's namespace, from when there is one of that name: the gateway's own
    /// device, or the far end of its cable.
    #[must_use]
    pub fn ethernet(mut self, interface: &str) -> Self {
        self.taps.listen(interface, Frames::Ethernet);
        self
    }

    /// The same, of an interface of bare IP.
    #[must_use]
    pub fn bare(mut self, interface: &str) -> Self {
        self.taps.listen(interface, Frames::Bare);
        self
    }

    /// Adds frames that are known already, to be judged with the others.
    #[must_use]
    pub fn frames<'f>(mut self, is_bare: bool, frames: impl Iterator<Item = &'f [u8]>) -> Self {
        let of = if is_bare {
            Frames::Bare
        } else {
            Frames::Ethernet
        };
        self.taps.add(of, frames);
        self
    }

    /// Whether all of these interfaces were there, and are listened to.
    pub fn hears(&self) -> bool {
        self.taps.hear()
    }

    /// Packets that tshark's display filter `filter` selects may be wrong, because of `reason`: what a test sends wrong, a
    /// router passes on as it is.
    pub fn excuse(&mut self, filter: &str, reason: &str) {
        println!("the judge excuses '{filter}': {reason}");
        self.excused.push(format!("!({filter})"));
    }

    /// Ends the recording and judges it.
    ///
    /// # Panics
    /// tshark fails.
    pub fn verdict(mut self) -> Verdict {
        self.judge()
    }

    fn judge(&mut self) -> Verdict {
        self.judged = true;
        let packets = self.taps.finish();
        let of = match self.excused.is_empty() {
            true => "frame".to_owned(),
            false => self.excused.join(" && "),
        };
        let wrong = Recording::of(self.file.clone()).wrong_in(self.scratch, &of);
        let found = wrong.len();
        println!("judged by tshark: {packets} packets that the gateway sent, {found} wrong");
        Verdict { packets, wrong }
    }
}

impl Drop for Judge<'_> {
    fn drop(&mut self) {
        if self.judged {
            return;
        }
        if std::thread::panicking() {
            self.taps.finish();
            return;
        }
        let Verdict { packets, wrong } = self.judge();
        assert!(
            packets > 0,
            "the judge saw nothing of what the gateway sent"
        );
        assert!(wrong.is_empty(), "the gateway sent:\n{}", wrong.join("\n"));
    }
}
