//! The tracing side of counting: starts the child, steps its threads, notes each instruction.
//!
//! A decoded instruction is kept by its address, so a loop costs three system calls a step and nothing
//! else. The child's code does not change while it runs.

use super::child::THREADS;
use super::decode::{Effect, MAX_LENGTH};
use super::tally::{Counts, Trace};
use crate::ways::Scene;
use nix::errno::Errno;
use nix::sys::ptrace::{self, AddressType, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A thread is given up that has not come to the next mark after so many instructions a packet.
const MAX_STEPS_A_PACKET: u64 = 100_000;

/// Counts what the way called `way` does.
pub(super) fn count(program: &Path, way: &str, scene: Scene, packets: usize) -> io::Result<Counts> {
    let packets = packets.min(scene.flows);
    let mut traced = Traced::start(program, way, scene, packets)?;
    let mut effects = HashMap::new();
    let mut traces = Vec::with_capacity(THREADS);
    for thread in 0..THREADS {
        traces.push(traced.trace(thread, packets, &mut effects)?);
    }
    match &traces[..] {
        [a, b] => Ok(Counts::of(a, b, packets)),
        _ => Err(io::Error::other("two threads were expected")),
    }
}

/// The child and what it said of itself.
struct Traced {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
    threads: Vec<Pid>,
    begin: u64,
    end: u64,
}

impl Traced {
    /// Starts `program` as a traced child and reads its introduction.
    fn start(program: &Path, way: &str, scene: Scene, packets: usize) -> io::Result<Self> {
        let (flows, nexthops) = (scene.flows.to_string(), scene.nexthops.to_string());
        let packets = packets.to_string();
        let mut child = Command::new(program)
            .args([
                "--traced-way",
                way,
                "--flows",
                &flows,
                "--nexthops",
                &nexthops,
                "--count-packets",
                &packets,
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(asks), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("the traced child has no pipes"));
        };
        let mut answers = BufReader::new(out);
        let mut line = String::new();
        answers.read_line(&mut line)?;
        let (threads, begin, end) = introduction(&line)
            .ok_or_else(|| io::Error::other(format!("the traced child said '{}'", line.trim())))?;
        Ok(Self {
            child,
            asks,
            answers,
            threads,
            begin,
            end,
        })
    }

    /// Lets `thread` go from its gate to the end mark, step by step.
    fn trace(
        &mut self,
        thread: usize,
        packets: usize,
        effects: &mut HashMap<u64, Effect>,
    ) -> io::Result<Trace> {
        let pid = self.threads[thread];
        ptrace::seize(pid, Options::empty())?;
        ptrace::interrupt(pid)?;
        stopped(pid)?;
        writeln!(self.asks, "next")?;
        self.answers.read_line(&mut String::new())?;
        let limit = MAX_STEPS_A_PACKET * (packets as u64 + 1);
        step_until(pid, self.begin, limit, |_| Ok(()))?;
        let mut trace = Trace::default();
        step_until(pid, self.end, limit, |regs| {
            if let Some(effect) = effects.get(&regs.rip) {
                effect.record(regs, &mut trace);
                return Ok(());
            }
            let effect = Effect::decode(&code_at(pid, regs.rip)?, regs.rip);
            effect.record(regs, &mut trace);
            effects.insert(regs.rip, effect);
            Ok(())
        })?;
        ptrace::detach(pid, None)?;
        Ok(trace)
    }
}

impl Drop for Traced {
    /// Ends the child, also when tracing failed half-way.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Thread ids, begin mark, end mark.
fn introduction(line: &str) -> Option<(Vec<Pid>, u64, u64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, second, begin, end] = words[..] else {
        return None;
    };
    let threads: Option<Vec<Pid>> = [first, second]
        .iter()
        .map(|id| id.parse().ok().map(Pid::from_raw))
        .collect();
    Some((threads?, begin.parse().ok()?, end.parse().ok()?))
}

/// Steps `pid` until it is about to execute what lies at `mark`; each instruction on the way is shown to
/// `seen` before it is executed.
fn step_until(
    pid: Pid,
    mark: u64,
    limit: u64,
    mut seen: impl FnMut(&nix::libc::user_regs_struct) -> io::Result<()>,
) -> io::Result<()> {
    for _ in 0..limit {
        let regs = ptrace::getregs(pid)?;
        if regs.rip == mark {
            return Ok(());
        }
        seen(&regs)?;
        ptrace::step(pid, None)?;
        stopped(pid)?;
    }
    Err(io::Error::other(
        "the traced thread does not come to its mark",
    ))
}

/// Waits until `pid` has stopped after a step or an interrupt.
fn stopped(pid: Pid) -> io::Result<()> {
    match waitpid(pid, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, Signal::SIGTRAP)
        | WaitStatus::PtraceEvent(_, Signal::SIGTRAP, _) => Ok(()),
        other => Err(io::Error::other(format!("the traced thread is {other:?}"))),
    }
}

/// The bytes of the instruction at `rip`, and some behind it as far as they can be read.
fn code_at(pid: Pid, rip: u64) -> io::Result<Vec<u8>> {
    let mut code = Vec::with_capacity(16);
    while code.len() < MAX_LENGTH {
        let address = rip.wrapping_add(code.len() as u64) as usize as AddressType;
        match ptrace::read(pid, address) {
            Ok(word) => code.extend_from_slice(&word.to_ne_bytes()),
            // The next page is not there; the instruction ends before it.
            Err(Errno::EIO | Errno::EFAULT) if !code.is_empty() => break,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_introduces_two_threads_and_two_marks() {
        let (threads, begin, end) = introduction("12 13 4096 8192\n").expect("well formed");
        assert_eq!(threads, [Pid::from_raw(12), Pid::from_raw(13)]);
        assert_eq!((begin, end), (4096, 8192));
    }

    #[test]
    fn anything_else_is_no_introduction() {
        for line in [
            "",
            "12 13 4096",
            "12 13 4096 8192 1",
            "a b c d",
            "12 13 4096 -1",
        ] {
            assert!(introduction(line).is_none(), "{line:?}");
        }
    }
}
