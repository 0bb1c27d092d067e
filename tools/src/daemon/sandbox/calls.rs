//! System calls by seccomp: a list of those that a running gateway makes.
//!
//! What is not on it fails with EPERM and ends nothing: a call that the list misses costs that call, not the gateway. `clone3`,
//! whose flags a filter cannot see, fails with ENOSYS, so that the C library takes `clone`, which may start threads and
//! nothing else: there is no fork and no exec. Memory is never made executable.

use super::Needs;
use libc::c_long;
use seccompiler::BackendError;
use seccompiler::BpfProgram;
use seccompiler::SeccompAction;
use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpArgLen::Qword;
use seccompiler::SeccompCmpOp;
use seccompiler::SeccompCondition;
use seccompiler::SeccompFilter;
use seccompiler::SeccompRule;
use std::collections::BTreeMap;

/// Descriptors: reading, writing, waiting.
const DESCRIPTORS: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_eventfd2,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Files: which ones, `files.rs` says.
const FILES: &[c_long] = &[
    libc::SYS_faccessat,
    libc::SYS_getcwd,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_readlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statx,
    libc::SYS_unlinkat,
];

/// Sockets that are there.
const SOCKETS: &[c_long] = &[
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
];

/// Memory, threads, time, signals to itself.
const PROCESS: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_clone3,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_gettimeofday,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_uname,
];

/// What the C library calls on x86-64 where others have one call only.
#[cfg(target_arch = "x86_64")]
const OLD: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_dup2,
    libc::SYS_lstat,
    libc::SYS_open,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[c_long] = &[];

/// `BPF_MAP_UPDATE_ELEM` (`linux/bpf.h`), which `libc` lacks.
const BPF_MAP_UPDATE_ELEM: u64 = 2;

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;
type Condition = Result<SeccompCondition, BackendError>;

/// Restricts system calls. Says what happens to others.
pub(super) fn restrict(needs: &Needs) -> Result<String, String> {
    let allowed = filter(
        rules(needs),
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    );
    // The stricter of two filters wins: the list allows `clone3`, and this one says that there is none.
    let fallback = filter(
        Ok(BTreeMap::from([(libc::SYS_clone3, Vec::new())])),
        SeccompAction::Allow,
        SeccompAction::Errno(libc::ENOSYS as u32),
    );
    let both = allowed.and_then(|one| Ok((one, fallback?)));
    let (allowed, fallback) = both.map_err(|error| error.to_string())?;
    for program in [fallback, allowed] {
        seccompiler::apply_filter(&program).map_err(|error| error.to_string())?;
    }
    Ok("by seccomp, others fail with EPERM".into())
}

fn filter(
    rules: Result<Rules, BackendError>,
    otherwise: SeccompAction,
    action: SeccompAction,
) -> Result<BpfProgram, BackendError> {
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules?, otherwise, action, arch)?.try_into()
}

fn rules(needs: &Needs) -> Result<Rules, BackendError> {
    let plain = [DESCRIPTORS, FILES, SOCKETS, PROCESS, OLD].concat();
    let mut rules: Rules = plain.into_iter().map(|call| (call, Vec::new())).collect();
    let no_exec = || masked(2, libc::PROT_EXEC as u64, 0);
    rules.insert(libc::SYS_mmap, vec![rule([no_exec()])?]);
    rules.insert(libc::SYS_mprotect, vec![rule([no_exec()])?]);
    let thread = libc::CLONE_THREAD as u64;
    rules.insert(libc::SYS_clone, vec![rule([masked(0, thread, thread)])?]);
    // A thread's name; a limit that is asked for and not set; a signal to this very process (abort).
    rules.insert(
        libc::SYS_prctl,
        any(0, [libc::PR_SET_NAME, libc::PR_GET_NAME])?,
    );
    let unset = SeccompCondition::new(2, Qword, SeccompCmpOp::Eq, 0);
    rules.insert(libc::SYS_prlimit64, vec![rule([unset])?]);
    let own = std::process::id().cast_signed();
    rules.insert(libc::SYS_tgkill, any(0, [own])?);
    // Anything that devices need, but no words put into a terminal.
    let typed = [libc::TIOCSTI, libc::TIOCLINUX].map(|op| differs(1, u64::from(op as u32)));
    rules.insert(libc::SYS_ioctl, vec![rule(typed)?]);
    rules.insert(libc::SYS_socketpair, any(0, [libc::AF_UNIX])?);
    if !needs.sockets.is_empty() {
        rules.insert(libc::SYS_socket, any(0, needs.sockets.iter().copied())?);
        rules.insert(libc::SYS_bind, Vec::new());
    }
    if needs.steering {
        let update = SeccompCondition::new(0, Dword, SeccompCmpOp::Eq, BPF_MAP_UPDATE_ELEM);
        rules.insert(libc::SYS_bpf, vec![rule([update])?]);
    }
    Ok(rules)
}

fn rule(conditions: impl IntoIterator<Item = Condition>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?)
}

/// An argument's bits.
fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    SeccompCondition::new(argument, Dword, SeccompCmpOp::MaskedEq(mask), value)
}

fn differs(argument: u8, value: u64) -> Condition {
    SeccompCondition::new(argument, Dword, SeccompCmpOp::Ne, value)
}

/// An argument that is one of these.
fn any(
    argument: u8,
    values: impl IntoIterator<Item = i32>,
) -> Result<Vec<SeccompRule>, BackendError> {
    let equals = |value: i32| {
        let value = u64::from(value.cast_unsigned());
        rule([SeccompCondition::new(
            argument,
            Dword,
            SeccompCmpOp::Eq,
            value,
        )])
    };
    values.into_iter().map(equals).collect()
}
