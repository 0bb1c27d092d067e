//! Plays conformance vectors against a gateway that runs.

use clap::Parser;
use flowgate_tests::conform::{PORTS, Vector};
use flowgate_tests::live::flowgate::{Flowgate, quiet_kernel};
use flowgate_tests::live::hook::Hook;
use flowgate_tests::live::{Went, play};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Plays the conformance vectors of tests/vectors against a gateway, through real interfaces.
///
/// With --flowgate a Flowgate is started for each vector, with a TUN and two TAP devices called clients, rack and west: in a
/// network namespace of its own, such as `unshare -n vectors --flowgate target/release/flowgate`. Any other gateway runs
/// already, on the other side of three interfaces, and --hook names a program that makes it ready: it is called as `HOOK
/// ready WORDS...` before each vector (its `set` lines) and as `HOOK do WORDS` for its `do` lines, and answers 0 for done,
/// 3 for what the gateway cannot do. tests/vectors/README.md has the network and the words.
///
/// Exit status: 0 all held; 1 one did not; 2 usage, or the gateway or an interface is not to be had.
#[derive(Debug, Parser)]
struct Args {
    /// The executable to start for each vector
    #[arg(long, conflicts_with = "hook", required_unless_present = "hook")]
    flowgate: Option<PathBuf>,
    /// The program that makes another gateway ready
    #[arg(long)]
    hook: Option<PathBuf>,
    /// The interface behind which the gateway's `clients` is: bare IP
    #[arg(long, default_value = PORTS[0])]
    clients: String,
    /// That of `rack`: Ethernet
    #[arg(long, default_value = PORTS[1])]
    rack: String,
    /// That of `west`: Ethernet
    #[arg(long, default_value = PORTS[2])]
    west: String,
    /// Vectors, or folders of them
    #[arg(default_value = "tests/vectors")]
    vectors: Vec<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("vectors: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool, String> {
    let vectors = read_all(&args.vectors)?;
    let hook = match &args.hook {
        Some(hook) => {
            let interfaces = [&*args.clients, &*args.rack, &*args.west];
            Some(Hook::new(interfaces, hook.clone())?)
        }
        None => {
            quiet_kernel()?;
            None
        }
    };
    let (mut held, mut left_out, mut failed) = (0, 0, 0);
    for vector in &vectors {
        let went = match (&hook, &args.flowgate) {
            (Some(hook), _) => by_hook(vector, hook)?,
            (None, Some(binary)) => by_flowgate(vector, binary)?,
            (None, None) => return Err("say --flowgate or --hook".to_owned()),
        };
        let what = match &went {
            Went::Held => "held".to_owned(),
            Went::Not(why) => format!("LEFT OUT: {why}"),
            Went::Failed(what) => format!("FAILED, {what}"),
        };
        println!("{}: {what}", vector.name);
        match went {
            Went::Held => held += 1,
            Went::Not(_) => left_out += 1,
            Went::Failed(_) => failed += 1,
        }
    }
    println!("{held} held, {failed} failed, {left_out} left out");
    Ok(failed == 0)
}

fn by_hook(vector: &Vector, hook: &Hook) -> Result<Went, String> {
    match hook.ready(vector)? {
        true => Ok(play(vector, hook)),
        false => Ok(Went::Not("the gateway has no such switch".to_owned())),
    }
}

fn by_flowgate(vector: &Vector, binary: &Path) -> Result<Went, String> {
    let gateway = Flowgate::start(binary, vector)?;
    let went = play(vector, &gateway);
    gateway.end()?;
    Ok(went)
}

/// Files as they are named, and those of folders in order.
fn read_all(places: &[PathBuf]) -> Result<Vec<Vector>, String> {
    let mut paths = Vec::new();
    for place in places {
        let fail = |error| format!("{}: {error}", place.display());
        if !place.is_dir() {
            paths.push(place.clone());
            continue;
        }
        let mut files = Vec::new();
        for file in std::fs::read_dir(place).map_err(fail)? {
            let path = file.map_err(fail)?.path();
            if path.extension().is_some_and(|ends| ends == "txt") {
                files.push(path);
            }
        }
        files.sort();
        paths.extend(files);
    }
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Vector::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
    };
    let vectors: Vec<Vector> = paths.iter().map(read).collect::<Result<_, _>>()?;
    match vectors.is_empty() {
        true => Err("no vectors there: name files or folders, such as tests/vectors".to_owned()),
        false => Ok(vectors),
    }
}
