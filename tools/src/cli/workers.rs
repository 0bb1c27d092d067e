//! `workers`: show them, and change how many there are.

use super::args::WorkersCommand;
use super::exit::Failure;
use super::session::Session;
use super::session::Tint;
use crate::wire::workers::WorkerSlots;
use crate::wire::workers::Workers;
use crate::wire::workers::WorkersDone;
use crate::wire::workers::WorkersSet;
use serde_json::json;
use std::io;

/// Carries out one command; without one, shows the workers.
///
/// # Errors
/// What is to be printed, and the exit status with it.
pub(crate) fn run(
    command: Option<WorkersCommand>,
    session: &mut Session<'_>,
) -> Result<(), Failure> {
    match command {
        None | Some(WorkersCommand::Show) => show(session),
        Some(WorkersCommand::Set { workers }) => set(workers, session),
    }
}

fn set(workers: u16, session: &mut Session<'_>) -> Result<(), Failure> {
    let done: WorkersDone = session.call("WorkersSet", &WorkersSet { workers })?;
    if session.json {
        return session.print_json(&done);
    }
    let WorkersDone {
        before,
        workers,
        moves,
    } = done;
    let what = if moves == 0 {
        "no slot moves".to_owned()
    } else {
        format!("{moves} of 256 slots move now, with their flows")
    };
    Ok(writeln!(
        session.out,
        "workers {before} -> {workers}: {what}"
    )?)
}

fn show(session: &mut Session<'_>) -> Result<(), Failure> {
    let all: Workers = session.call("Workers", &json!({}))?;
    if session.json {
        return session.print_json(&all);
    }
    Ok(print(session, &all)?)
}

fn print(session: &mut Session<'_>, all: &Workers) -> io::Result<()> {
    let Workers {
        workers,
        most,
        moving,
        moved,
        parked,
        parked_in_all,
        parked_dropped,
        ..
    } = all;
    let out = &mut *session.out;
    writeln!(
        out,
        "{workers} of at most {most} workers; slots to move {moving}, moved {moved}"
    )?;
    writeln!(
        out,
        "packets parked meanwhile: {parked} now, {parked_in_all} in all, {parked_dropped} dropped\n"
    )?;
    let head = "worker  cpu  slots      flows          packets       handed off";
    writeln!(out, "{}", session.style.paint(Tint::Strong, head))?;
    all.each.iter().try_for_each(|one| {
        let WorkerSlots {
            worker,
            cpu,
            slots,
            flows,
            packets,
            handed_off,
        } = one;
        let cpu = cpu.map_or_else(|| "-".into(), |cpu| cpu.to_string());
        writeln!(
            out,
            "{worker:>6} {cpu:>4} {slots:>6} {flows:>10} {packets:>16} {handed_off:>16}"
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::cli::test_support::run_command;
    use crate::server::fake::Fake;

    #[test]
    fn the_workers_are_shown_with_what_they_own() {
        let (out, error, status) = run_command(Fake::small(), "workers");
        assert_eq!((error, status), (None, 0));
        assert_eq!(
            out,
            "\
2 of at most 4 workers; slots to move 3, moved 125
packets parked meanwhile: 5 now, 40 in all, 0 dropped

worker  cpu  slots      flows          packets       handed off
     0    0    128          3             1000               25
     1    1    128          3             1000               25
     2    2      0          0                0                0
     3    3      0          0                0                0
"
        );
        let (out, ..) = run_command(Fake::small(), "workers show --json");
        assert!(out.contains("\"most\":4"), "{out}");
    }

    #[test]
    fn their_number_is_changed_within_its_bounds() {
        let (out, error, _) = run_command(Fake::small(), "workers set 4");
        assert_eq!(error, None);
        assert_eq!(
            out,
            "workers 2 -> 4: 128 of 256 slots move now, with their flows\n"
        );
        let (out, ..) = run_command(Fake::small(), "workers set 2");
        assert_eq!(out, "workers 2 -> 2: no slot moves\n");
        let (_, error, status) = run_command(Fake::small(), "workers set 9");
        assert_eq!(status, 1);
        assert!(error.is_some_and(|line| line.contains("1 to 4")));
    }
}
