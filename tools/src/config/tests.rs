//! Right and wrong configurations, the wrong ones with the exact line and message.

use super::*;

mod groups;
mod ports;
mod routes;
mod vlans;

const EXAMPLE: &str = include_str!("../../../docs/flowgate.example.toml");

const PORTS: &str = "\
[[port]]
name = \"rack\"
type = \"tap\"
addresses = [\"192.0.2.1/24\", \"fd00::1/64\"]
";

fn read(text: &str) -> Result<Config, Problems> {
    parse(Path::new("flowgate.toml"), text)
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// Everything that is wrong, a line each.
fn wrong(text: &str) -> Vec<String> {
    match read(text) {
        Ok(config) => panic!("{text}\nis taken for right: {config:?}"),
        Err(problems) => problems.to_string().lines().map(str::to_owned).collect(),
    }
}

/// What is wrong with lines that follow a good port of four lines.
fn wrong_after_ports(lines: &str) -> Vec<String> {
    wrong(&format!("{PORTS}{lines}"))
}

#[test]
fn the_example_is_right() {
    let config = good(EXAMPLE);
    assert_eq!(config.gateway.workers, Some(2));
    assert_eq!(config.ports.len(), 2);
    assert_eq!(config.ports[1].kind, PortType::Tap);
    assert_eq!(config.routes.len(), 6);
    assert_eq!(config.groups[0].gateways[1].value.weight, 3);
    assert_eq!(config.routes[5].options.group, Some(7));
    let weights: Vec<u32> = config.routes[0]
        .gateways
        .iter()
        .map(|g| g.value.weight)
        .collect();
    assert_eq!(weights, [1, 1, 2]);
    assert_eq!(config.routes[2].destination.value.to_string(), "0.0.0.0/0");
    assert_eq!(config.routes[3].kind, PathKind::Blackhole);
    assert_eq!(config.health[0].address, config.health[0].gateway.value);
    assert_eq!(config.group_secret_file, Path::new("flowgate.group-secret"));
    assert_eq!(config.state_file, Path::new("flowgate.state"));
}

#[test]
fn what_the_example_shows_in_comments_is_the_default() {
    let config = good(EXAMPLE);
    // Comments that hold a key: "#key = value   # what it is".
    let uncommented: String = EXAMPLE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(uncommented, EXAMPLE);
    let all = good(&uncommented);
    assert_eq!(all.tables, config.tables);
    assert_eq!(all.neighbour, config.neighbour);
    assert_eq!(all.icmp, config.icmp);
    assert_eq!(all.ports[0].rules, config.ports[0].rules);
    assert_eq!(all.health, config.health);
    assert_eq!(all.group_secret_file, config.group_secret_file);
    assert_eq!(all.state_file, config.state_file);
    let defaults = flowtable::Timeouts::default();
    assert_eq!(all.timeouts.len(), State::COUNT);
    for (state, seconds) in all.timeouts {
        assert_eq!(seconds, defaults.get(state), "{state:?}");
    }
}

#[test]
fn a_port_is_enough() {
    let config = good(PORTS);
    assert_eq!(config.gateway, Gateway::default());
    assert_eq!(config.ports[0].mtu.value, 1500);
    assert!(config.ports[0].up);
    assert_eq!(
        wrong(""),
        ["flowgate.toml: no port: a gateway needs at least one [[port]]"]
    );
}

#[test]
fn unknown_keys_are_told_with_the_nearest_name() {
    assert_eq!(
        wrong_after_ports("mut = 1400\n"),
        ["flowgate.toml:5: unknown key mut in [[port]]: write mtu"]
    );
    assert_eq!(
        wrong(&format!(
            "[gateway]\nworker = 2\nbusypoll = true\ncolour = 1\n{PORTS}"
        )),
        [
            "flowgate.toml:2: unknown key worker in [gateway]: write workers",
            "flowgate.toml:3: unknown key busypoll in [gateway]: write busy-poll",
            "flowgate.toml:4: unknown key colour in [gateway]: its keys are workers, max-workers, busy-poll, steering, fibs, cpus",
        ]
    );
    assert_eq!(
        wrong(&format!("[gatway]\nworkers = 2\n{PORTS}")),
        ["flowgate.toml:1: unknown key gatway in the top level: write gateway"]
    );
    assert_eq!(
        wrong_after_ports(
            "[[route]]\ndestination = \"10.0.0.0/8\"\ngateways = [\n  { address = \"192.0.2.2\", wieght = 2 },\n]\n"
        ),
        ["flowgate.toml:8: unknown key wieght in a gateway: write weight"]
    );
}

#[test]
fn wrong_types_and_ranges_are_told_with_what_would_be_right() {
    let cases = [
        (
            "[gateway]\nworkers = 0\n",
            "flowgate.toml:2: workers = 0: write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 257\n",
            "flowgate.toml:2: workers = 257: write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 4\nmax-workers = 3\n",
            "flowgate.toml:3: max-workers = 3: there are 4 workers at the start: write 4 or more, or leave it out",
        ),
        (
            "[gateway]\nworkers = \"two\"\n",
            "flowgate.toml:2: workers = \"two\": write a number from 1 to 256",
        ),
        (
            "[gateway]\nworkers = 1.5\n",
            "flowgate.toml:2: workers = 1.5: write a number from 1 to 256",
        ),
        (
            "[gateway]\nbusy-poll = 1\n",
            "flowgate.toml:2: busy-poll = 1: write busy-poll = true or busy-poll = false",
        ),
        (
            "[gateway]\ncpus = [0, -1]\n",
            "flowgate.toml:2: cpus: -1 is no CPU: write numbers, such as cpus = [0, 1]",
        ),
        (
            "[control]\nsocket = 7\n",
            "flowgate.toml:2: socket = 7: write a path, such as \"/run/flowgate.sock\"",
        ),
        (
            "[tables]\nflows-v4 = 100\n",
            "flowgate.toml:2: flows-v4 = 100: write a number from 1024 to 1073741824",
        ),
        (
            "[tables]\nbuckets = 1000\n",
            "flowgate.toml:2: buckets = 1000: write a power of two, such as buckets = 1024",
        ),
        (
            "[timeouts]\nudp-one-way = 0\n",
            "flowgate.toml:2: udp-one-way = 0: write a number from 1 to 604800",
        ),
        (
            "gateway = 3\n",
            "flowgate.toml:1: gateway = 3: write a table: a line [gateway], its keys below it",
        ),
        (
            "route = 3\n",
            "flowgate.toml:1: route = 3: write a line [[route]] for each of them, its keys below it",
        ),
        (
            "[icmp]\necho-per-second = 99999999999999999999\n",
            "flowgate.toml:2: echo-per-second = 99999999999999999999: write a number from 1 to 10000000",
        ),
    ];
    for (text, message) in cases {
        assert_eq!(wrong(&format!("{text}{PORTS}")), [message], "{text}");
    }
}

#[test]
fn text_that_is_no_toml_is_told_with_its_line() {
    let lines = wrong(&format!("{PORTS}mtu = \n"));
    assert!(
        lines[0].starts_with("flowgate.toml:5: not TOML: "),
        "{lines:?}"
    );
    let lines = wrong("[gateway\nworkers = 2\n");
    assert!(
        lines[0].starts_with("flowgate.toml:1: not TOML: "),
        "{lines:?}"
    );
    let lines = wrong("[gateway]\nworkers = 2\nworkers = 3\n");
    assert!(
        lines[0].starts_with("flowgate.toml:3: not TOML: duplicate key"),
        "{lines:?}"
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_once_in_order() {
    let text = format!(
        "[gateway]\nworkers = 0\n{PORTS}mut = 2\n[[route]]\ndestination = \"10.0.0.1/8\"\n"
    );
    let lines = wrong(&text);
    let at: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split(':').nth(1))
        .collect();
    assert_eq!(at, ["2", "7", "9"], "{lines:?}");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_the_remedy() {
    let problems = load(Path::new("no/such.toml")).unwrap_err().to_string();
    assert!(
        problems.starts_with("no/such.toml: cannot read the configuration: "),
        "{problems}"
    );
    assert!(
        problems.ends_with("docs/flowgate.example.toml is a complete example"),
        "{problems}"
    );
}

#[test]
fn no_text_makes_the_reader_panic() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let mut bytes = EXAMPLE.as_bytes().to_vec();
        for _ in 0..random.usize(1..6) {
            if bytes.is_empty() {
                break;
            }
            let at = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..(at + random.usize(..40)).min(bytes.len()))),
                _ => bytes.truncate(at + 1),
            }
        }
        // Whether it is right or wrong, it has an answer.
        let _ = read(&String::from_utf8_lossy(&bytes));
    }
}

/// A TAP and what is behind it.
fn with_tap(rest: &str) -> String {
    format!("[[port]]\nname = \"tap0\"\ntype = \"tap\"\nmtu = 1600\n{rest}")
}

#[test]
fn control_characters_of_a_configuration_are_shown_and_not_obeyed() {
    let text = format!("[[port]]\nname = \"a\\u001b[31m\\nb\"\ntype = \"tun\"\n{PORTS}");
    let lines = wrong(&text);
    assert!(
        lines[0].starts_with("flowgate.toml:2: name = \"a\\u{1b}[31m\\nb\": write"),
        "{lines:?}"
    );
    assert!(lines.iter().all(|line| !line.contains(char::is_control)));
    let file = Path::new("a\u{1b}[1m.toml");
    let told = parse(file, "").unwrap_err().to_string();
    assert!(told.starts_with("a\\u{1b}[1m.toml: no port"), "{told}");
}
