//! How a test says what happens: each call is a step of the vector, and adds what it must do to the counters.

use super::count::drop_name;
use super::play::{PORTS, play};
use super::vector::{Step, Vector};
use crate::net::craft::is_v6;
use crate::rack::Family;
use arp::Ignored;
use stack::fate::DropReason;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A case on its way.
#[derive(Debug)]
#[must_use = "a case that is not held to anything shows nothing"]
pub struct Case {
    vector: Vector,
    counts: BTreeMap<String, u64>,
    /// Whether the last packet that came was IPv6.
    v6: bool,
}

impl Case {
    /// A case of the test in which `here` was defined; see [`case!`](crate::case).
    pub fn new(here: &str, about: &str) -> Self {
        let path: Vec<&str> = here
            .split("::")
            .filter(|part| *part != "{{closure}}")
            .collect();
        let name = path.iter().rev().nth(1).unwrap_or(&"");
        Self {
            vector: Vector {
                name: (*name).to_owned(),
                about: about.to_owned(),
                steps: Vec::new(),
            },
            counts: BTreeMap::new(),
            v6: false,
        }
    }

    /// One of several cases of a test.
    pub fn called(mut self, which: &str) -> Self {
        self.vector.name = format!("{}.{which}", self.vector.name);
        self
    }

    /// The case of one family.
    pub fn of(self, family: Family) -> Self {
        self.called(match family {
            Family::V4 => "v4",
            Family::V6 => "v6",
        })
    }

    /// Configures a port or the gateway.
    pub fn set(mut self, words: &str) -> Self {
        self.vector.steps.push(Step::Set(words.to_owned()));
        self
    }

    /// The running gateway is told something.
    pub fn told(mut self, words: &str) -> Self {
        self.vector.steps.push(Step::Do(words.to_owned()));
        self
    }

    /// A frame arrives.
    pub fn arrives(mut self, port: usize, bytes: &[u8]) -> Self {
        let name = PORTS[port];
        self.count("rx", 1);
        let ip = match port {
            0 => Some(is_v6(bytes)),
            _ => match bytes.get(12..14) {
                Some([0x08, 0x00]) => Some(false),
                Some([0x86, 0xdd]) => Some(true),
                _ => None,
            },
        };
        self.v6 = ip == Some(true);
        if let Some(v6) = ip {
            self.count(if v6 { "ip6_received" } else { "ip4_received" }, 1);
        }
        self.vector
            .steps
            .push(Step::In(name.to_owned(), bytes.to_vec()));
        self
    }

    /// A frame leaves.
    pub fn leaves(mut self, port: usize, bytes: &[u8]) -> Self {
        self.count("tx", 1);
        self.vector
            .steps
            .push(Step::Out(PORTS[port].to_owned(), bytes.to_vec()));
        self
    }

    /// So many ms pass.
    pub fn wait(mut self, ms: u64) -> Self {
        self.vector.steps.push(Step::Wait(ms));
        self
    }

    /// The last packet that came is sent on, as this.
    pub fn goes_on(mut self, port: usize, bytes: &[u8]) -> Self {
        self.is_forwarded();
        self.leaves(port, bytes)
    }

    /// The last packet that came is sent on in these pieces.
    pub fn goes_on_in_pieces(mut self, port: usize, pieces: &[Vec<u8>]) -> Self {
        self.is_forwarded();
        self.count("fragmented", 1);
        self.count("extra_pieces", pieces.len() as u64 - 1);
        pieces
            .iter()
            .fold(self, |case, piece| case.leaves(port, piece))
    }

    fn is_forwarded(&mut self) {
        self.count("forwarded", 1);
        let name = if self.v6 {
            "ip6_forwarded"
        } else {
            "ip4_forwarded"
        };
        self.count(name, 1);
    }

    /// The last packet that came is dropped for this reason.
    pub fn dropped(mut self, reason: DropReason) -> Self {
        let name = drop_name(reason, self.v6);
        self.count(&name, 1);
        self
    }

    /// An error of the gateway leaves.
    pub fn error(mut self, port: usize, bytes: &[u8]) -> Self {
        self.count("icmp_sent", 1);
        self.count("originated", 1);
        self.leaves(port, bytes)
    }

    /// A redirect of the gateway leaves.
    pub fn redirect(self, port: usize, bytes: &[u8]) -> Self {
        self.error(port, bytes).counts("redirects_sent", 1)
    }

    /// No error may be sent about the packet, and none is.
    pub fn unanswered(self) -> Self {
        self.counts("icmp_suppressed", 1)
    }

    /// The last packet was an echo request for the gateway; this is the reply.
    pub fn echo(mut self, port: usize, bytes: &[u8]) -> Self {
        for name in ["consumed", "consumed_echo", "originated"] {
            self.count(name, 1);
        }
        self.leaves(port, bytes)
    }

    /// The last packet was given to the gateway's own sockets.
    pub fn delivered(self) -> Self {
        self.counts("consumed", 1).counts("consumed_local", 1)
    }

    /// The last frame was of ARP or ND, and counted under this name.
    pub fn heard(mut self, what: &str) -> Self {
        self.count("consumed", 1);
        self.count("consumed_arp", 1);
        self.count(what, 1);
        if what.starts_with("arp ") {
            self.count("arp received", 1);
        }
        self
    }

    /// Nothing was learned from the last frame.
    pub fn ignored(self, why: Ignored) -> Self {
        self.counts(&format!("ignored: {}", why.name()), 1)
    }

    /// A frame of ARP or ND that the gateway sends, counted under this name.
    pub fn says(mut self, what: &str, port: usize, bytes: &[u8]) -> Self {
        self.count("originated", 1);
        self.count(what, 1);
        self.leaves(port, bytes)
    }

    /// A counter grows by so much besides.
    pub fn counts(mut self, name: &str, n: u64) -> Self {
        self.count(name, n);
        self
    }

    fn count(&mut self, name: &str, n: u64) {
        *self.counts.entry(name.to_owned()).or_default() += n;
    }

    /// Plays the case, and holds its file to it.
    ///
    /// # Panics
    /// If it does not hold, or the file says anything else.
    pub fn holds(mut self) {
        let counts = self.counts.into_iter().filter(|(_, n)| *n > 0);
        let counts = counts.map(|(name, n)| Step::Count(n, name));
        self.vector.steps.extend(counts);
        play(&self.vector);
        keep(&self.vector);
    }
}

/// Where the vectors are.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

fn keep(vector: &Vector) {
    let file = folder().join(format!("{}.txt", vector.name));
    if std::env::var_os("FLOWGATE_VECTORS").is_some_and(|v| v == "write") {
        std::fs::write(&file, vector.text()).expect("a vector is written");
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        kept,
        vector.text(),
        "{} says otherwise: FLOWGATE_VECTORS=write writes it anew",
        file.display()
    );
}
