//! What one x86-64 instruction does to memory: which bytes it reads and writes, and whether locked.
//!
//! The instruction set is decoded by `iced-x86`; this file asks it the three questions that matter here.
//! An access whose address cannot be known from the registers alone (a gather) is left out; none of the
//! ways executes one.

use super::tally::{Line, Trace, Write};
use iced_x86::{
    Decoder, DecoderOptions, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register, UsedMemory,
};
use nix::libc::user_regs_struct;

/// The longest instruction, in bytes.
pub(super) const MAX_LENGTH: usize = 15;
/// log2 of a cache line's bytes.
const LINE_SHIFT: u32 = 6;

/// An instruction's effect on memory, before its registers are known.
#[derive(Clone, Debug)]
pub(super) struct Effect {
    locked: bool,
    memory: Vec<UsedMemory>,
}

impl Effect {
    /// Decodes the instruction that begins `bytes` and lies at address `rip`.
    pub(super) fn decode(bytes: &[u8], rip: u64) -> Self {
        let mut decoder = Decoder::with_ip(64, bytes, rip, DecoderOptions::NONE);
        let instruction = decoder.decode();
        let mut factory = InstructionInfoFactory::new();
        let info = factory.info(&instruction);
        Self {
            locked: is_locked(&instruction),
            memory: info.used_memory().to_vec(),
        }
    }

    /// Notes in `trace` what the instruction does when executed with these registers.
    pub(super) fn record(&self, regs: &user_regs_struct, trace: &mut Trace) {
        trace.instructions += 1;
        for memory in &self.memory {
            let Some(lines) = lines_of(memory, regs) else {
                continue;
            };
            for line in lines {
                trace.touched.insert(line);
                if writes(memory.access()) {
                    let write = if self.locked {
                        Write::Locked
                    } else {
                        Write::Plain
                    };
                    trace.writes.push((line, write));
                }
            }
        }
    }
}

/// A `lock` prefix, or an exchange with memory, which is locked without one.
fn is_locked(instruction: &Instruction) -> bool {
    let exchange = instruction.mnemonic() == Mnemonic::Xchg
        && instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    instruction.has_lock_prefix() || exchange
}

/// The lines that an operand lies on; none for what only computes an address.
fn lines_of(
    memory: &UsedMemory,
    regs: &user_regs_struct,
) -> Option<std::ops::RangeInclusive<Line>> {
    if matches!(memory.access(), OpAccess::None | OpAccess::NoMemAccess) {
        return None;
    }
    let first = memory.virtual_address(0, |register, _, _| value(register, regs))?;
    let bytes = memory.memory_size().size().max(1) as u64;
    Some((first >> LINE_SHIFT)..=(first.saturating_add(bytes - 1) >> LINE_SHIFT))
}

/// Whether an operand is written, or may be.
fn writes(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}

/// A register's value as an address is made of it; segment registers give their base.
fn value(register: Register, regs: &user_regs_struct) -> Option<u64> {
    let whole = match register.full_register() {
        Register::RAX => regs.rax,
        Register::RBX => regs.rbx,
        Register::RCX => regs.rcx,
        Register::RDX => regs.rdx,
        Register::RSI => regs.rsi,
        Register::RDI => regs.rdi,
        Register::RSP => regs.rsp,
        Register::RBP => regs.rbp,
        Register::R8 => regs.r8,
        Register::R9 => regs.r9,
        Register::R10 => regs.r10,
        Register::R11 => regs.r11,
        Register::R12 => regs.r12,
        Register::R13 => regs.r13,
        Register::R14 => regs.r14,
        Register::R15 => regs.r15,
        Register::FS => regs.fs_base,
        Register::GS => regs.gs_base,
        Register::CS | Register::DS | Register::ES | Register::SS => 0,
        _ => return None,
    };
    let narrow = register.is_gpr32();
    Some(if narrow { whole & 0xffff_ffff } else { whole })
}

#[cfg(test)]
mod tests;
