//! A few words of eBPF: an assembler for the programs of this crate (RFC 9669; `Documentation/networking/filter.rst`).

/// One instruction as the kernel reads it.
pub(super) type Insn = [u8; 8];

/// A register. 0 holds results, 1 to 5 arguments, 6 to 9 survive calls and loads of packet bytes, 10 is the stack's end.
#[derive(Clone, Copy)]
pub(super) struct Reg(pub(super) u8);

/// What two operands become.
#[derive(Clone, Copy)]
pub(super) enum Op {
    Add = 0x00,
    Mul = 0x20,
    Or = 0x40,
    And = 0x50,
    Lsh = 0x60,
    Rsh = 0x70,
    Xor = 0xa0,
    Mov = 0xb0,
}

/// When a jump is taken, comparing a register with a number.
#[derive(Clone, Copy)]
pub(super) enum If {
    Equal = 0x10,
    Unequal = 0x50,
    Less = 0xa0,
}

/// How many bytes of a packet, most significant first.
#[derive(Clone, Copy)]
pub(super) enum Size {
    Word = 0x00,
    Half = 0x08,
    Byte = 0x10,
}

/// A place to jump to, forwards.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(pub(super) usize);

/// A program under construction.
#[derive(Default)]
pub(super) struct Asm {
    insns: Vec<Insn>,
    jumps: Vec<(usize, Label)>,
}

impl Asm {
    fn push(&mut self, code: u8, dst: Reg, src: Reg, off: i16, imm: i32) {
        let mut insn = [code, src.0 << 4 | dst.0, 0, 0, 0, 0, 0, 0];
        insn[2..4].copy_from_slice(&off.to_ne_bytes());
        insn[4..].copy_from_slice(&imm.to_ne_bytes());
        self.insns.push(insn);
    }

    /// `dst = dst op number`.
    pub(super) fn number(&mut self, op: Op, dst: Reg, number: i32) {
        self.push(0x07 | op as u8, dst, Reg(0), 0, number);
    }

    /// `dst = dst op src`.
    pub(super) fn reg(&mut self, op: Op, dst: Reg, src: Reg) {
        self.push(0x0f | op as u8, dst, src, 0, 0);
    }

    /// `dst = ` a number of 64 bits.
    pub(super) fn wide(&mut self, dst: Reg, number: u64) {
        self.wide_of(dst, Reg(0), number);
    }

    /// `dst = ` the map that this descriptor names.
    pub(super) fn map(&mut self, dst: Reg, fd: i32) {
        self.wide_of(dst, Reg(1), u64::from(fd.cast_unsigned()));
    }

    fn wide_of(&mut self, dst: Reg, src: Reg, number: u64) {
        self.push(0x18, dst, src, 0, (number as u32).cast_signed());
        self.push(0, Reg(0), Reg(0), 0, ((number >> 32) as u32).cast_signed());
    }

    /// `r0 = ` bytes of the packet, from `at`. Beyond its end the program ends with 0. Registers 1 to 5 are lost.
    pub(super) fn packet(&mut self, size: Size, at: i32) {
        self.push(0x20 | size as u8, Reg(0), Reg(0), 0, at);
    }

    /// The same, from `base + at`.
    pub(super) fn packet_at(&mut self, size: Size, base: Reg, at: i32) {
        self.push(0x40 | size as u8, Reg(0), base, 0, at);
    }

    /// Keeps a register on the stack, eight bytes at `at` (negative).
    pub(super) fn keep(&mut self, at: i16, src: Reg) {
        self.push(0x7b, Reg(10), src, at, 0);
    }

    /// Keeps its low four bytes.
    pub(super) fn keep_word(&mut self, at: i16, src: Reg) {
        self.push(0x63, Reg(10), src, at, 0);
    }

    /// Takes it back.
    pub(super) fn kept(&mut self, dst: Reg, at: i16) {
        self.push(0x79, dst, Reg(10), at, 0);
    }

    /// `dst = ` the word at address `src + at`.
    pub(super) fn word_at(&mut self, dst: Reg, src: Reg, at: i16) {
        self.push(0x61, dst, src, at, 0);
    }

    /// Calls one of the kernel's functions for programs.
    pub(super) fn call(&mut self, function: i32) {
        self.push(0x85, Reg(0), Reg(0), 0, function);
    }

    /// Ends with `r0`.
    pub(super) fn exit(&mut self) {
        self.push(0x95, Reg(0), Reg(0), 0, 0);
    }

    /// Jumps if the register compares so.
    pub(super) fn jump_if(&mut self, when: If, reg: Reg, number: i32, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(0x05 | when as u8, reg, Reg(0), 0, number);
    }

    /// Jumps.
    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(0x05, Reg(0), Reg(0), 0, 0);
    }

    /// The label is here.
    pub(super) fn label(&mut self, here: Label) {
        let at = self.insns.len();
        for (from, to) in &self.jumps {
            if *to == here {
                let off = (at - from - 1) as i16;
                self.insns[*from][2..4].copy_from_slice(&off.to_ne_bytes());
            }
        }
    }

    /// The whole program.
    pub(super) fn done(self) -> Vec<Insn> {
        self.insns
    }
}
