use super::*;

/// Registers with a few recognisable addresses.
fn regs() -> user_regs_struct {
    user_regs_struct {
        r15: 0,
        r14: 0,
        r13: 0,
        r12: 0,
        rbp: 0,
        rbx: 3,
        r11: 0,
        r10: 0,
        r9: 0,
        r8: 0,
        rax: 0,
        rcx: 0x1000,
        rdx: 0xdead_0000_0000_2000,
        rsi: 0x3000,
        rdi: 0x4000,
        orig_rax: 0,
        rip: 0,
        cs: 0,
        eflags: 0,
        rsp: 0x8000,
        ss: 0,
        fs_base: 0x7_0000,
        gs_base: 0,
        ds: 0,
        es: 0,
        fs: 0,
        gs: 0,
    }
}

/// The trace of one instruction.
fn trace(bytes: &[u8]) -> Trace {
    let mut trace = Trace::default();
    Effect::decode(bytes, 0x50_0000).record(&regs(), &mut trace);
    trace
}

#[test]
fn lock_prefixed_instructions_are_locked_writes_of_their_operand() {
    let locked = [
        &[0xf0, 0x48, 0x0f, 0xb1, 0x11][..], // lock cmpxchg [rcx], rdx
        &[0xf0, 0x0f, 0xc1, 0x01],           // lock xadd [rcx], eax
        &[0xf0, 0xff, 0x01],                 // lock inc dword [rcx]
        &[0xf0, 0x48, 0x83, 0x29, 0x01],     // lock sub qword [rcx], 1
        &[0xf0, 0x48, 0x0f, 0xc7, 0x09],     // lock cmpxchg16b [rcx]
    ];
    for bytes in locked {
        assert_eq!(
            trace(bytes).writes,
            [(0x1000 >> 6, Write::Locked)],
            "{bytes:02x?}"
        );
    }
}

#[test]
fn an_exchange_is_locked_with_memory_and_not_with_a_register() {
    assert_eq!(
        trace(&[0x48, 0x87, 0x01]).writes,
        [(0x1000 >> 6, Write::Locked)]
    ); // xchg [rcx], rax
    assert!(trace(&[0x87, 0xc8]).writes.is_empty()); // xchg eax, ecx
}

#[test]
fn the_byte_of_the_lock_prefix_inside_an_operand_locks_nothing() {
    assert!(trace(&[0xb8, 0xf0, 0xf0, 0xf0, 0xf0]).writes.is_empty()); // mov eax, 0xf0f0f0f0
    assert_eq!(
        trace(&[0xc6, 0x01, 0xf0]).writes,
        [(0x1000 >> 6, Write::Plain)]
    ); // mov [rcx], 0xf0
}

#[test]
fn reads_touch_and_do_not_write() {
    let read = trace(&[0x48, 0x8b, 0x06]); // mov rax, [rsi]
    assert!(read.writes.is_empty());
    assert!(read.touched.contains(&(0x3000 >> 6)));
}

#[test]
fn addresses_follow_scale_thread_base_instruction_pointer_and_width() {
    let line = |bytes: &[u8]| trace(bytes).writes[0].0;
    assert_eq!(
        line(&[0x89, 0x44, 0xd9, 0x70]),
        (0x1000 + 3 * 8 + 0x70) >> 6
    ); // mov [rcx+rbx*8+0x70], eax
    assert_eq!(
        line(&[0x64, 0x89, 0x04, 0x25, 0x40, 0, 0, 0]),
        (0x7_0000 + 0x40) >> 6
    ); // mov fs:[0x40], eax
    assert_eq!(
        line(&[0x89, 0x05, 0x00, 0x01, 0, 0]),
        (0x50_0006 + 0x100) >> 6
    ); // mov [rip+0x100], eax
    assert_eq!(line(&[0x67, 0x89, 0x02]), 0x2000 >> 6); // mov [edx], eax
}

#[test]
fn the_stack_and_both_sides_of_a_copy_are_seen() {
    assert_eq!(trace(&[0x50]).writes, [((0x8000 - 8) >> 6, Write::Plain)]); // push rax
    let copy = trace(&[0x48, 0xa5]); // movsq
    assert_eq!(copy.writes, [(0x4000 >> 6, Write::Plain)]);
    assert!(copy.touched.contains(&(0x3000 >> 6)));
}

#[test]
fn an_access_across_two_lines_touches_both() {
    let store = trace(&[0x48, 0x89, 0x41, 0x3c]); // mov [rcx+0x3c], rax
    assert_eq!(store.writes, [(0x40, Write::Plain), (0x41, Write::Plain)]);
}

#[test]
fn computing_an_address_touches_nothing() {
    assert!(trace(&[0x48, 0x8d, 0x01]).touched.is_empty()); // lea rax, [rcx]
}
