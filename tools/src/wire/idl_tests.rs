//! The description and the types must say the same: a small parser reads the one, serde writes the other.

use super::batch::*;
use super::capture::*;
use super::explain::*;
use super::flow::*;
use super::group::*;
use super::idl::DESCRIPTION;
use super::idl::METHODS;
use super::message::Reason;
use super::moves::*;
use super::neighbour::*;
use super::nexthop::*;
use super::options::*;
use super::ping::*;
use super::route::*;
use super::stats::*;
use super::template::*;
use super::timeout::*;
use super::workers::*;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// What stands in the description: `type`s and `error`s with their fields, methods with both sides' fields.
#[derive(Default)]
struct Description {
    types: BTreeMap<String, Vec<String>>,
    methods: BTreeMap<String, (Vec<String>, Vec<String>)>,
    errors: BTreeSet<String>,
}

fn read_description() -> Description {
    let text: String = DESCRIPTION
        .lines()
        .filter(|line| !line.starts_with('#') && !line.starts_with("interface"))
        .map(|line| format!("{line} "))
        .collect();
    let mut description = Description::default();
    let mut rest = text.trim_start();
    while let Some((word, after)) = rest.split_once(' ') {
        let (name, after) = after.split_at(after.find('(').expect("each member has a '('"));
        let (fields, after) = braces(after);
        let name = name.trim().to_owned();
        rest = after.trim_start();
        match word {
            "type" => assert!(description.types.insert(name, fields).is_none()),
            "error" => assert!(description.errors.insert(name)),
            "method" => {
                let (reply, after) = braces(rest.strip_prefix("->").expect("->").trim_start());
                rest = after.trim_start();
                assert!(description.methods.insert(name, (fields, reply)).is_none());
            }
            other => panic!("what is {other}?"),
        }
    }
    description
}

/// The field names within the parenthesis that `text` starts with, and what follows it.
fn braces(text: &str) -> (Vec<String>, &str) {
    let mut depth = 0;
    for (at, byte) in text.bytes().enumerate() {
        depth += match byte {
            b'(' => 1,
            b')' => -1,
            _ => 0,
        };
        if depth == 0 {
            return (field_names(&text[1..at]), &text[at + 1..]);
        }
    }
    panic!("unbalanced: {text}");
}

fn field_names(text: &str) -> Vec<String> {
    let mut depth = 0;
    let top_level = text.split(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    });
    let names = top_level.filter_map(|field| field.split_once(':'));
    names.map(|(name, _)| name.trim().to_owned()).collect()
}

fn keys(value: &impl Serialize) -> BTreeSet<String> {
    let value = serde_json::to_value(value).unwrap();
    value
        .as_object()
        .expect("an object")
        .keys()
        .cloned()
        .collect()
}

fn set(names: &[String]) -> BTreeSet<String> {
    names.iter().cloned().collect()
}

fn path() -> Path {
    serde_json::from_value(json!({
        "kind": "gateway", "gateway": "10.0.0.1", "port": "p", "weight": 1, "mtu": 1500, "nexthop": 1,
        "generation": 1, "admin": "in", "health": "up", "deadline": 3, "buckets": 1,
        "starting": {"percent": 40, "left": 18},
        "recursive": true, "through": "10.0.0.9", "causes": ["unresolved"]
    }))
    .unwrap()
}

fn captured() -> Captured {
    serde_json::from_value(json!({
        "ports": [{"name": "p", "ether": true}], "changes": [{"time": 1, "text": "t"}], "missed": 1,
        "records": [{
            "time": 1, "worker": 0, "port": "p", "direction": "in", "verdict": "drop", "reason": "r", "length": 1,
            "bytes": "", "bare": true
        }]
    }))
    .unwrap()
}

fn explain_flow() -> ExplainFlow {
    serde_json::from_value(json!({
        "protocol": "tcp", "source": "10.0.0.1", "source_port": 1, "destination": "10.0.0.2", "destination_port": 2
    }))
    .unwrap()
}

fn explain_out() -> ExplainOut {
    serde_json::from_value(json!({
        "port": "p", "nexthop": 1, "generation": 1, "gateway": "10.0.0.1", "header": "00", "pieces": 1
    }))
    .unwrap()
}

fn explained() -> Explained {
    serde_json::from_value(json!({
        "packet": "p", "port": "p", "assumed": ["a"], "steps": [], "verdict": "drop", "reason": "r", "text": "t",
        "icmp": "i", "out": explain_out(), "worker": 1, "slot": 1, "destination": "10.0.0.0/8", "group": 1,
        "bucket": 1, "buckets": 2, "pin": 1, "unsure": true
    }))
    .unwrap()
}

fn done() -> RouteDone {
    let destination = "10.0.0.0/8".parse().unwrap();
    RouteDone {
        fib: 1,
        destination,
        paths: vec![path()],
        warning: Some("w".into()),
    }
}

fn nexthop() -> MoveNexthop {
    MoveNexthop {
        kind: PathKind::Gateway,
        gateway: "10.0.0.1".parse().ok(),
        port: Some("p".into()),
    }
}

fn plan() -> MovePlan {
    let of = Move {
        from: Some(nexthop()),
        to: Some(nexthop()),
        reason: "policy".into(),
        flows: 1,
        clients: 1,
        bytes_per_second: 1,
    };
    MovePlan {
        flows: 1,
        clients: 1,
        bytes_per_second: 1,
        sampled: 1,
        staying: 1,
        at_deadline: 1,
        already_due: 1,
        unlisted: 1,
        moves: vec![of.clone()],
        deadline_moves: vec![of],
    }
}

fn moves() -> RouteMoves {
    let state = MoveState {
        from: Some(nexthop()),
        to: Some(nexthop()),
        reason: "policy".into(),
        due: 1,
        moved: 1,
        expired: 1,
        stayed: 1,
        left: 1,
    };
    RouteMoves {
        change: 1,
        time: 1,
        order: "add".into(),
        destination: Some(done().destination),
        group: Some(7),
        nexthop: Some(nexthop()),
        fib: 1,
        due: 1,
        moved: 1,
        expired: 1,
        stayed: 1,
        left: 1,
        unfollowed: 1,
        moves: vec![state],
    }
}

fn group_done() -> GroupDone {
    GroupDone {
        group: 7,
        index: 1,
        paths: vec![path()],
        warning: Some("w".into()),
    }
}

fn group_state() -> GroupState {
    let state = json!({
        "group": 7, "index": 1, "buckets": 64, "size": 64, "ownerless": 0, "routes": 1, "remembering": 1, "depth": 1,
        "options": {}, "members": [{"path": path(), "due": 64, "remembered": 1}], "warning": "w"
    });
    serde_json::from_value(state).unwrap()
}

fn group_layout() -> GroupLayout {
    let layout = json!({
        "names": [{"kind": "gateway", "gateway": "10.0.0.1", "port": "p", "weight": 1}],
        "runs": [{"buckets": 64, "holders": [0], "owner": 0, "remembered": [{"name": 0, "ago": 1}]}]
    });
    serde_json::from_value(layout).unwrap()
}

/// Every struct with every field present: its keys are what the description must name.
fn assert_types(description: &Description) {
    let types = &description.types;
    let mut seen = BTreeSet::new();
    let mut check = |name: &str, keys: BTreeSet<String>| {
        assert_eq!(
            keys,
            set(types.get(name).unwrap_or_else(|| panic!("no type {name}"))),
            "{name}"
        );
        seen.insert(name.to_owned());
    };
    let spec = PathSpec {
        kind: PathKind::Gateway,
        gateway: "10.0.0.1".parse().ok(),
        port: Some("p".into()),
        weight: Some(1),
        mtu: Some(1500),
        recursive: true,
    };
    check("PathSpec", keys(&spec));
    let sticky = Sticky {
        length: Some(24),
        timeout: Some(60),
    };
    check("Sticky", keys(&sticky));
    let options = Options {
        select: Some(Select::Tuple),
        sticky: Some(sticky),
        failback: Some(Failback::Stay),
        slow_start: Some(1),
        buckets: Some(64),
        group: Some(7),
        timeouts: "web".parse().ok(),
    };
    check("Options", keys(&options));
    let paths = PathSet {
        paths: vec![],
        options,
    };
    check("PathSet", keys(&paths));
    check("Path", keys(&path()));
    check("Starting", keys(&path().starting.unwrap()));
    check("RouteDone", keys(&done()));
    check("MoveNexthop", keys(&nexthop()));
    check("Move", keys(&plan().moves[0]));
    check("MovePlan", keys(&plan()));
    check("MoveState", keys(&moves().moves[0]));
    check("RouteMoves", keys(&moves()));
    let route = Route {
        fib: 1,
        destination: done().destination,
        group: 1,
        buckets: 1,
        options,
        is_static: true,
        paths: vec![],
    };
    check("Route", keys(&route));
    let flow_of = FlowOf {
        protocol: "tcp".into(),
        source: [10, 0, 0, 1].into(),
        source_port: 1,
        destination_port: 1,
    };
    check("FlowOf", keys(&flow_of));
    let pin = Pin {
        nexthop: 1,
        generation: 1,
        name: Some("n".into()),
        state: "live".into(),
    };
    check("Pin", keys(&pin));
    let choice = Choice {
        bucket: 1,
        pin: Some(pin),
        path: Some(path()),
        why: "w".into(),
    };
    check("Choice", keys(&choice));
    let neighbour = Neighbour {
        address: [10, 0, 0, 1].into(),
        port: "p".into(),
        mac: Some(arp::Mac([2; 6])),
        state: NeighbourState::Reachable,
        expires: Some(1),
        published: false,
        reserved: true,
    };
    check("Neighbour", keys(&neighbour));
    let nexthop = FlowNexthop {
        kind: PathKind::Gateway,
        gateway: "10.0.0.1".parse().ok(),
        port: Some("p".into()),
        nexthop: 1,
        generation: 1,
        state: "live".into(),
    };
    check("FlowNexthop", keys(&nexthop));
    let template = Template {
        client: done().destination,
        destination: Some(done().destination),
        group: Some(7),
        fib: 1,
        nexthop: nexthop.clone(),
        idle: Some(1),
        expires: Some(1),
    };
    check("Template", keys(&template));
    let direction = FlowDirection {
        nexthop: Some(nexthop),
        packets: 1,
        bytes: 1,
    };
    check("FlowDirection", keys(&direction));
    let flow = json!({
        "protocol": "tcp", "client": "10.0.0.1:1", "server": "10.0.0.2:2", "state": "s", "class": "c", "idle": 1,
        "expires": 1, "forward": direction, "reverse": direction, "worker": 0, "slot": 0, "fib": 1, "timeouts": "web",
        "kind": 1, "aux": 7
    });
    check("Flow", keys(&serde_json::from_value::<Flow>(flow).unwrap()));
    let debt = GroupDebt {
        index: 1,
        group: Some(1),
        entries: 1,
    };
    check("GroupDebt", keys(&debt));
    let table = FlowTable {
        name: "flows-v4".into(),
        limit: 1,
        used: 1,
        high_water: 1,
        bytes: 1,
        huge_bytes: 1,
        bucket_fill: vec![1],
        strays: 1,
        probes: vec![1, 0],
        debt: 1,
        debt_groups: vec![debt.clone()],
        counters: BTreeMap::new(),
    };
    check("FlowTable", keys(&table));
    let timeouts = FlowTimeouts::of(|_| 1).timeouts;
    check("Timeout", keys(&timeouts[0]));
    let route = TimedRoute {
        destination: "10.0.0.0/8".into(),
        fib: 1,
    };
    check("TimedRoute", keys(&route));
    let class = TimeoutsOf {
        class: "web".parse().unwrap(),
        routes: 1,
        groups: vec![7],
        first: vec![route.clone()],
        timeouts,
    };
    check("TimeoutsOf", keys(&class));
    let worker = WorkerSlots {
        worker: 0,
        cpu: Some(1),
        slots: 1,
        flows: 1,
        packets: 1,
        handed_off: 1,
    };
    check("WorkerSlots", keys(&worker));
    let port = json!({
        "name": "p", "index": 1, "kind": "vlan", "parent": "q", "vlan": 7, "up": true, "device": "up", "mode": "copy", "warning": "w", "mtu": 1500, "mac": "m", "offloads": ["o"], "addresses": [],
        "rx_packets": 1, "rx_bytes": 1, "rx_dropped": 1, "rx_missed": 1, "tx_packets": 1, "tx_bytes": 1, "tx_refused": 1
    });
    check("Port", keys(&serde_json::from_value::<Port>(port).unwrap()));
    check(
        "Counter",
        keys(&Counter {
            name: "n".into(),
            value: 1,
            text: "t".into(),
        }),
    );
    check(
        "CounterBlock",
        keys(&CounterBlock {
            protocol: "ip".into(),
            counters: vec![],
        }),
    );
    let nexthop = json!({
        "index": 1, "generation": 1, "kind": "gateway", "gateway": "10.0.0.1", "port": "p", "mtu": 1, "admin": "in",
        "health": "up", "groups": 1, "recursive": true, "through": "10.0.0.9", "causes": ["unresolved"]
    });
    check(
        "Nexthop",
        keys(&serde_json::from_value::<Nexthop>(nexthop).unwrap()),
    );
    check(
        "Group",
        keys(&Group {
            index: 1,
            group: Some(7),
            buckets: 1,
            members: vec![],
        }),
    );
    let worker = Worker {
        worker: 0,
        cpu: Some(0),
        packets: 0,
        handed_off: 0,
        sleep_permille: 0,
        flows: 0,
    };
    check("Worker", keys(&worker));
    let table = Table {
        name: "n".into(),
        used: 0,
        limit: 0,
        policy: "p".into(),
        overflows: 0,
    };
    check("Table", keys(&table));
    let memory = Memory {
        name: "rib".into(),
        bytes: 1,
        routes: 1,
    };
    check("Memory", keys(&memory));
    let leaving = Leaving {
        name: "n".into(),
        destination: Some("d".into()),
        group: Some(7),
        fib: 1,
        admin: Admin::In,
        health: Health::Up,
        flows: 0,
        deadline: Some(1),
    };
    check("Leaving", keys(&leaving));
    check("GroupDone", keys(&group_done()));
    let state = group_state();
    check("GroupMember", keys(&state.members[0]));
    check("GroupState", keys(&state));
    let layout = group_layout();
    check("LayoutName", keys(&layout.names[0]));
    check("LayoutRun", keys(&layout.runs[0]));
    check("LayoutLost", keys(&layout.runs[0].remembered[0]));
    let captured = captured();
    check("CapturePort", keys(&captured.ports[0]));
    check("CaptureRecord", keys(&captured.records[0]));
    check("CaptureChange", keys(&captured.changes[0]));
    check("ExplainFlow", keys(&explain_flow()));
    check("ExplainOut", keys(&explain_out()));
    let step = ExplainStep {
        stage: "ip".into(),
        goes_on: true,
        cause: "c".into(),
    };
    check("ExplainStep", keys(&step));
    assert_eq!(
        seen,
        types.keys().cloned().collect(),
        "types that no test knows"
    );
}

#[test]
fn every_method_and_error_is_described() {
    let description = read_description();
    assert_eq!(
        METHODS.map(String::from).to_vec(),
        Vec::from_iter(description.methods.into_keys())
    );
    let errors = Reason::ALL.map(|reason| reason.name().to_owned());
    assert_eq!(BTreeSet::from(errors), description.errors);
}

#[test]
fn every_type_has_the_fields_that_are_described() {
    assert_types(&read_description());
}

#[test]
fn parameters_and_replies_have_the_fields_that_are_described() {
    let methods = read_description().methods;
    let destination = done().destination;
    let asks =
        |name: &str, keys: BTreeSet<String>| assert_eq!(keys, set(&methods[name].0), "{name}");
    let how = How {
        plan: true,
        truth: false,
    };
    asks(
        "RouteAdd",
        keys(&Asked {
            ask: &RouteAdd {
                fib: 1,
                options: Options {
                    select: Some(Select::Tuple),
                    ..Options::default()
                },
                destination,
                paths: vec![],
            },
            how,
        }),
    );
    asks(
        "RouteChange",
        keys(&Asked {
            ask: &RouteChange {
                fib: 1,
                options: Options {
                    select: Some(Select::Tuple),
                    ..Options::default()
                },
                destination,
                paths: vec![],
                deadline: Some(1),
            },
            how,
        }),
    );
    let gateway = "10.0.0.1".parse().ok();
    asks(
        "RouteDelete",
        keys(&Asked {
            ask: &RouteDelete {
                fib: 1,
                destination,
                gateway,
                port: Some("p".into()),
            },
            how,
        }),
    );
    let options = Options {
        buckets: Some(64),
        ..Options::default()
    };
    let (group, paths) = (7, vec![]);
    let add = GroupAdd {
        group,
        fib: 1,
        paths: paths.clone(),
        options,
    };
    asks("GroupAdd", keys(&Asked { ask: &add, how }));
    let change = GroupChange {
        group,
        fib: Some(1),
        paths,
        deadline: Some(1),
        options,
    };
    asks("GroupChange", keys(&Asked { ask: &change, how }));
    let delete = GroupDelete {
        group,
        gateway,
        port: Some("p".into()),
    };
    asks("GroupDelete", keys(&Asked { ask: &delete, how }));
    let (group, index) = (Some(7), Some(1));
    let all = true;
    asks("GroupList", keys(&GroupsOf { group, index, all }));
    asks("GroupExport", keys(&GroupOf { group, index }));
    let family = Some(Family::Inet);
    let timeout = FlowTimeoutSet {
        name: "tcp-syn".into(),
        seconds: 1,
        class: "web".parse().ok(),
    };
    asks("FlowTimeoutSet", keys(&timeout));
    let class = "web".parse().unwrap();
    asks("FlowTimeoutDelete", keys(&FlowTimeoutDelete { class }));
    asks("WorkersSet", keys(&WorkersSet { workers: 1 }));
    asks("RouteList", keys(&RouteFamily { family, fib: 1 }));
    asks("RouteFlush", keys(&RouteFamily { family, fib: 1 }));
    asks("RouteExport", keys(&RouteFamily { family, fib: 1 }));
    asks("RouteMonitor", keys(&OfFib { fib: Some(1) }));
    asks("RouteMoves", keys(&OfFib { fib: Some(1) }));
    let replace = vec![Family::Inet];
    asks("RouteBatchBegin", keys(&BatchBegin { replace, fib: 1 }));
    let piece = BatchAdd {
        batch: 1,
        sets: vec![PathSet::default()],
        routes: "10.0.0.0/8=0".into(),
    };
    asks("RouteBatchAdd", keys(&piece));
    asks("RouteBatchCommit", keys(&BatchOf { batch: 1 }));
    asks("RouteBatchDrop", keys(&BatchOf { batch: 1 }));
    let filter = NeighbourFilter {
        family,
        port: Some("p".into()),
        address: gateway,
    };
    asks("NeighbourList", keys(&filter));
    asks("NeighbourFlush", keys(&filter));
    let filter = FlowFilter {
        address: Some(destination),
        port: Some(1),
        protocol: Some("tcp".into()),
        nexthop: gateway,
        worker: Some(0),
        state: Some("s".into()),
        limit: Some(1),
    };
    asks("FlowList", keys(&filter));
    asks("FlowFlush", keys(&filter));
    let filter = TemplateFilter {
        client: Some(destination),
        nexthop: gateway,
    };
    asks("TemplateList", keys(&filter));
    asks("TemplateFlush", keys(&filter));
    let ping = json!({"address": "10.0.0.1", "count": 1});
    let drain = NexthopSet {
        gateway: std::net::IpAddr::from([192, 0, 2, 11]),
        order: NexthopOrder::Drain,
        deadline: Some(1),
        plan: true,
    };
    asks("NexthopSet", keys(&drain));
    asks("Ping", keys(&serde_json::from_value::<Ping>(ping).unwrap()));
    let capture = Capture {
        all: true,
        sample: Some(1),
        filter: Some("tcp".into()),
        last: true,
    };
    asks("Capture", keys(&capture));
    let explain = Explain {
        packet: Some("45".into()),
        framing: Some(Framing::Ip),
        flow: Some(explain_flow()),
        turn: Some(Turn::First),
        port: Some("p".into()),
        fib: Some(1),
    };
    asks("Explain", keys(&explain));
    asks(
        "CounterList",
        keys(&CountersOf {
            protocol: Some("ip".into()),
        }),
    );

    let answers =
        |name: &str, keys: BTreeSet<String>| assert_eq!(keys, set(&methods[name].1), "{name}");
    for name in ["RouteAdd", "RouteChange", "RouteDelete"] {
        let all = RouteChanged {
            done: done(),
            plan: Some(plan()),
            moves: Some(moves()),
        };
        answers(name, keys(&all));
    }
    answers("RouteMoves", keys(&RouteMovesList::default()));
    answers("RouteList", keys(&Routes::default()));
    answers("RouteFlush", keys(&Flushed::default()));
    answers("RouteExport", keys(&Exported::default()));
    answers("RouteBatchBegin", keys(&BatchBegun { batch: 1 }));
    answers("RouteBatchAdd", keys(&BatchAdded { routes: 1 }));
    let told = BatchDone {
        warning: Some("w".into()),
        ..BatchDone::default()
    };
    answers("RouteBatchCommit", keys(&told));
    answers("NeighbourList", keys(&Neighbours::default()));
    answers("NeighbourDelete", keys(&Deleted::default()));
    answers("FlowList", keys(&Flows::default()));
    answers("FlowFlush", keys(&FlowsFlushed::default()));
    answers("FlowStats", keys(&FlowStats::default()));
    answers("FlowTimeouts", keys(&FlowTimeouts::default()));
    answers("FlowTimeoutSet", keys(&FlowTimeouts::default()));
    answers("FlowTimeoutDelete", keys(&FlowTimeouts::default()));
    answers("Workers", keys(&Workers::default()));
    answers("WorkersSet", keys(&WorkersDone::default()));

    answers("TemplateList", keys(&Templates::default()));
    answers("TemplateFlush", keys(&TemplatesFlushed::default()));
    answers("PortList", keys(&Ports::default()));
    answers("CounterList", keys(&Counters::default()));
    answers("NexthopList", keys(&Nexthops::default()));
    for name in ["GroupAdd", "GroupChange", "GroupDelete"] {
        let all = GroupChanged {
            done: group_done(),
            plan: Some(plan()),
            moves: Some(moves()),
        };
        answers(name, keys(&all));
    }
    answers("GroupList", keys(&Groups::default()));
    answers("GroupExport", keys(&group_layout()));
    let all = NexthopsSet {
        warning: Some(String::new()),
        plan: Some(plan()),
        ..NexthopsSet::default()
    };
    answers("NexthopSet", keys(&all));
    answers("Explain", keys(&explained()));
    answers("Capture", keys(&captured()));
    let ended = json!({
        "address": "10.0.0.1", "sequence": 0, "outcome": "reply", "bytes": 64, "rtt": 1, "ttl": 64, "reason": "r"
    });
    answers(
        "Ping",
        keys(&serde_json::from_value::<PingResult>(ended).unwrap()),
    );
    let status = json!({
        "version": "v", "pid": 1, "uptime": 1, "workers": [], "steering": "s", "flow_memory": "m", "sandbox": "s", "tables": [], "memory": [], "moved": {}, "collateral": 0,
        "unpinned_packets": 0, "leaving": []
    });
    answers(
        "Status",
        keys(&serde_json::from_value::<Status>(status).unwrap()),
    );
}

#[test]
fn every_event_has_fields_that_are_described() {
    let described = set(&read_description().methods["RouteMonitor"].1);
    let nexthop = News::Nexthop {
        nexthop: 1,
        name: "n".into(),
        port: Some("p".into()),
        admin: Admin::In,
        health: Health::Up,
        through: "10.0.0.9".parse().ok(),
    };
    let port = News::Port {
        port: "p".into(),
        up: true,
    };
    let many = News::RoutesChanged {
        fib: 1,
        added: 1,
        changed: 1,
        deleted: 1,
    };
    let mut seen = BTreeSet::new();
    let group = News::GroupAdded(group_done());
    for news in [News::RouteAdded(done()), many, group, nexthop, port] {
        seen.extend(keys(&Event { time: 1, news }));
    }
    assert_eq!(seen, described);
}
