//! The contention benchmark: how each way of resolving output behaves as threads are added.
//!
//! ```text
//! args ─▶ measure (threads, pinned, started together) ─┐
//!         crate::step (shared read-modify-writes)     ─┼─▶ report::Report ─▶ table, csv, json, plot
//!         machine (what it ran on)                    ─┘
//! ```
//! Runs are interleaved (run 1 of every way at every number of threads, then run 2, ...), so that a
//! machine that grows slower spoils all ways alike and shows as spread.

pub mod args;
mod csv;
mod json;
mod measure;
mod plot;
mod report;
mod table;
mod usl;

use crate::common::machine::Machine;
use crate::step::{self, Counts};
use crate::traffic::Traffic;
use crate::ways::{Scene, WayInfo};
use args::Args;
use report::{Point, Report};
use std::io;
use std::path::Path;

/// Measures what `args` asks for, prints the table, writes the files.
///
/// `args.out` must exist already (see [`Args::prepare_out`]).
///
/// # Errors
/// A file that cannot be written, a thread that cannot be pinned, a way that did not do its work.
pub fn run(args: &Args) -> Result<(), String> {
    let machine = Machine::detect()?;
    announce(args, &machine);
    let mut reports = Vec::new();
    for scene in &args.scenes {
        eprintln!("{}", described(*scene));
        let counts = count_all(args, *scene);
        let points = measure_all(args, *scene, &machine)?;
        let report = Report::new(args, machine.clone(), *scene, points, counts);
        print!("{}", table::render(&report));
        reports.push(report);
    }
    write_files(&reports, &args.out).map_err(|error| format!("{}: {error}", args.out.display()))
}

/// A scene in words.
fn described(scene: Scene) -> String {
    let plural = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let changes = match scene.churn {
        0 => "no route changes".into(),
        churn => format!("{churn} route changes a second"),
    };
    let (flows, hops) = (
        plural(scene.flows, "flow"),
        plural(scene.nexthops, "next hop"),
    );
    format!("{flows} a thread, one default route over {hops}, {changes}")
}

/// Says before the wait what will be done, and what to think of it.
fn announce(args: &Args, machine: &Machine) {
    let points = args.scenes.len() * args.ways.len() * args.threads.len() * args.runs;
    let seconds = points as f64 * (args.seconds_per_point + measure::warm_up(args).as_secs_f64());
    eprintln!("{}", machine.line());
    eprintln!(
        "{points} points of {} s, about {seconds:.0} s in all",
        args.seconds_per_point
    );
    if let Some(warning) = report::oversubscription(&args.threads, machine.cpus.len()) {
        eprintln!("{warning}");
    }
}

/// The counts of each way, or the reason why there are none.
fn count_all(args: &Args, scene: Scene) -> Vec<Result<Counts, String>> {
    let count = |way: &&'static WayInfo| {
        if args.count_packets == 0 {
            return Err("not asked for".into());
        }
        eprintln!("counting {} ...", way.name);
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        step::count(&program, way.name, scene, args.count_packets)
    };
    args.ways.iter().map(count).collect()
}

/// Every way at every number of threads, `args.runs` times.
fn measure_all(args: &Args, scene: Scene, machine: &Machine) -> Result<Vec<Point>, String> {
    let mut points = Point::all(&args.ways, &args.threads);
    for number in 1..=args.runs {
        for point in &mut points {
            eprintln!(
                "run {number} of {}: {} x {} ...",
                args.runs, point.way.name, point.threads
            );
            let traffic = Traffic::new(scene.flows, point.threads);
            let world = (point.way.build)(&traffic, scene.nexthops);
            let run = measure::point(&*world, &traffic, scene, &machine.cpus, args);
            let run = run.map_err(|error| {
                format!("{} with {} threads: {error}", point.way.name, point.threads)
            })?;
            point.runs.push(run);
        }
    }
    Ok(points)
}

/// Writes `contention.{csv,json}` and a picture for each scene into `out` and says so.
fn write_files(reports: &[Report], out: &Path) -> io::Result<()> {
    let mut files = vec![
        (
            String::from("contention.csv"),
            csv::render(reports).into_bytes(),
        ),
        (
            "contention.json".into(),
            json::render(reports)?.into_bytes(),
        ),
    ];
    for (number, report) in reports.iter().enumerate() {
        let svg = crate::chart::render(&plot::chart(report)).map_err(io::Error::other)?;
        let png = crate::chart::png(&svg).map_err(io::Error::other)?;
        let name = picture(number, report.scene);
        files.push((format!("{name}.svg"), svg.into_bytes()));
        files.push((format!("{name}.png"), png));
    }
    for (name, bytes) in files {
        std::fs::write(out.join(&name), bytes)?;
        println!("wrote {}", out.join(&name).display());
    }
    Ok(())
}

/// The name of scene number `number`'s picture: the first has the plain one.
fn picture(number: usize, scene: Scene) -> String {
    match number {
        0 => "contention".into(),
        _ => {
            let Scene {
                flows,
                nexthops,
                churn,
            } = scene;
            format!("contention-f{flows}-n{nexthops}-c{churn}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENE: Scene = Scene {
        flows: 1,
        nexthops: 8,
        churn: 200,
    };

    #[test]
    fn a_scene_is_described_and_only_the_first_has_the_plain_name() {
        assert_eq!(
            described(SCENE),
            "1 flow a thread, one default route over 8 next hops, 200 route changes a second"
        );
        assert_eq!(picture(0, SCENE), "contention");
        assert_eq!(picture(1, SCENE), "contention-f1-n8-c200");
    }

    #[test]
    fn every_file_is_written() {
        let out = std::env::temp_dir().join(format!("flowgate-contention-{}", std::process::id()));
        std::fs::create_dir_all(&out).expect("a folder");
        let report = report::tests::sample();
        write_files(&[report.clone(), report], &out).expect("written");
        let written = std::fs::read_dir(&out).expect("a folder").count();
        std::fs::remove_dir_all(&out).expect("ours");
        assert_eq!(written, 6);
    }
}
