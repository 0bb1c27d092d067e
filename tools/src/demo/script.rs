//! What happens in the demo, as a list: each event's commands, what they leave, and who leaves.
//!
//! Pure. The commands are the words behind `flowgate route`, exactly as a person would type them.

use std::net::IpAddr;

use super::addressing::{SERVICE4, SERVICE6, ServerNo};
use super::models::Member;

/// Flows of the killed server that are silent while it is away, at most.
pub(crate) const SILENT: usize = 40;
/// The weight that the weight event sets.
const HEAVY: u32 = 3;
/// How often the unrelated routes come and go.
const FLAPS: usize = 3;

/// One thing that is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// `flowgate route` with these words.
    Route(Vec<String>),
    /// These commands so many times more, in turn.
    Again(usize, Vec<Vec<String>>),
    /// The server's cable is out: no ARP or ND answers, no frames.
    Kill(ServerNo),
    /// The cable is in again.
    Revive(ServerNo),
    /// Wait until the gateway has noticed that the server is up, or that it is not.
    AwaitHealth(ServerNo, bool),
    /// Some clients of this server have nothing to say for a while.
    Silence(ServerNo, usize),
    /// All clients are busy again.
    Wake,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// A few words, for the table.
    pub(crate) title: String,
    /// One sentence: what to expect of it.
    pub(crate) expect: String,
    /// Done before the flows are looked at for the first time.
    pub(crate) prepare: Vec<Act>,
    /// The event itself.
    pub(crate) acts: Vec<Act>,
    /// Done after the verdict.
    pub(crate) finish: Vec<Act>,
    /// The next hop that it takes away: its flows move, and break.
    pub(crate) leaves: Option<ServerNo>,
    /// Who takes new flows afterwards, with which weight; sorted by server.
    pub(crate) members: Vec<Member>,
}

/// The route's next hops while the script is written.
struct Writer {
    families: Vec<IpAddr>,
    members: Vec<Member>,
    events: Vec<Event>,
}

/// The commands that make the service's routes, with all `members` as next hops.
pub(crate) fn first_routes(has_v6: bool, members: &[Member]) -> Vec<Act> {
    let route = |service: IpAddr| {
        let mut words = route_words("add", service);
        words.extend(members.iter().map(|m| address(m.server, service)));
        Act::Route(words)
    };
    families(has_v6).into_iter().map(route).collect()
}

/// The next hops that the demo begins with: the first `servers` servers, each with weight 1.
pub(crate) fn first_members(servers: u8) -> Vec<Member> {
    (0..servers)
        .map(|no| Member {
            server: ServerNo(no),
            weight: 1,
        })
        .collect()
}

/// The whole script for a route that begins with `servers` next hops (at least 4); the rack has one more.
pub(crate) fn script(has_v6: bool, servers: u8) -> Vec<Event> {
    let members = first_members(servers);
    let mut writer = Writer {
        families: families(has_v6),
        members,
        events: Vec::new(),
    };
    writer.flap();
    writer.add(ServerNo(servers));
    writer.reweigh(ServerNo(0));
    writer.drain(ServerNo(1));
    writer.delete(ServerNo(1));
    writer.delete(ServerNo(3));
    writer.kill(ServerNo(2));
    writer.revive(ServerNo(2));
    writer.events
}

impl Writer {
    fn flap(&mut self) {
        let via = |service: &IpAddr| address(ServerNo(0), *service);
        let mut commands = Vec::new();
        for service in &self.families {
            // One far away, and one that covers the service itself, so that its flows look again.
            let nets = match service {
                IpAddr::V4(_) => ["198.51.100.0/24", "203.0.113.0/24"],
                IpAddr::V6(_) => ["2001:db8:100::/48", "2001:db8:113::/48"],
            };
            commands.extend(nets.map(|net| net_words("add", net, Some(via(service)))));
            commands.extend(nets.map(|net| net_words("delete", net, None)));
        }
        let mut acts: Vec<Act> = commands.iter().cloned().map(Act::Route).collect();
        acts.push(Act::Again(FLAPS - 1, commands));
        let expect = "every flow stays: at most it looks its route up once more";
        self.event("unrelated routes flap", expect, acts);
    }

    fn add(&mut self, server: ServerNo) {
        let acts = self.route("add", server, None);
        self.members.push(Member { server, weight: 1 });
        let expect = format!("every flow stays; new ones may choose {server}");
        self.event(&format!("{server} added"), &expect, acts);
    }

    fn reweigh(&mut self, server: ServerNo) {
        let acts = self.route("change", server, Some(HEAVY));
        for member in self.members.iter_mut().filter(|m| m.server == server) {
            member.weight = HEAVY;
        }
        let expect = format!("every flow stays; new ones choose {server} {HEAVY} times as often");
        self.event(&format!("{server} gets weight {HEAVY}"), &expect, acts);
    }

    fn drain(&mut self, server: ServerNo) {
        let acts = self.route("change", server, Some(0));
        self.members.retain(|m| m.server != server);
        let expect = format!("every flow stays, those of {server} too; no new one chooses it");
        self.event(&format!("{server} drained"), &expect, acts);
    }

    fn delete(&mut self, server: ServerNo) {
        let acts = self.route("delete", server, None);
        self.members.retain(|m| m.server != server);
        let expect = format!("only flows of {server} move; their new servers reset them");
        let event = self.event(&format!("{server} deleted"), &expect, acts);
        event.leaves = Some(server);
        // Its ends of the broken connections would repeat themselves for minutes, to clients that answer with
        // resets: traffic on flows that are not watched any more.
        event.finish = vec![Act::Kill(server)];
    }

    /// A dead next hop stays a member of the route, but takes no new flow until it is back.
    fn kill(&mut self, server: ServerNo) {
        let acts = vec![Act::Kill(server), Act::AwaitHealth(server, false)];
        let expect = format!("only flows of {server} that speak move; the silent ones wait");
        let event = self.event(&format!("{server} killed"), &expect, acts);
        event.prepare = vec![Act::Silence(server, SILENT)];
        event.leaves = Some(server);
        event.members.retain(|m| m.server != server);
    }

    fn revive(&mut self, server: ServerNo) {
        let acts = vec![
            Act::Revive(server),
            Act::AwaitHealth(server, true),
            Act::Wake,
        ];
        let expect = format!("every flow stays; the silent ones of {server} go on where they were");
        self.event(&format!("{server} brought back"), &expect, acts);
    }

    /// The same command for each family.
    fn route(&self, verb: &str, server: ServerNo, weight: Option<u32>) -> Vec<Act> {
        let command = |service: &IpAddr| {
            let mut words = route_words(verb, *service);
            words.push(address(server, *service));
            words.extend(
                weight
                    .iter()
                    .flat_map(|w| ["-weight".to_owned(), w.to_string()]),
            );
            Act::Route(words)
        };
        self.families.iter().map(command).collect()
    }

    /// Notes an event that takes nobody away, with the members of now.
    fn event(&mut self, title: &str, expect: &str, acts: Vec<Act>) -> &mut Event {
        let mut members = self.members.clone();
        members.sort_by_key(|m| m.server);
        let (title, expect) = (title.to_owned(), expect.to_owned());
        let (prepare, finish) = (Vec::new(), Vec::new());
        let at = self.events.len();
        self.events.push(Event {
            title,
            expect,
            prepare,
            acts,
            finish,
            leaves: None,
            members,
        });
        &mut self.events[at]
    }
}

fn families(has_v6: bool) -> Vec<IpAddr> {
    let mut services: Vec<IpAddr> = vec![SERVICE4.into()];
    services.extend(has_v6.then_some(IpAddr::from(SERVICE6)));
    services
}

fn address(server: ServerNo, service: IpAddr) -> String {
    match service {
        IpAddr::V4(_) => server.v4().to_string(),
        IpAddr::V6(_) => server.v6().to_string(),
    }
}

/// `add -host 203.0.113.10`, `add -6 -host 2001:db8:113::10`.
fn route_words(verb: &str, service: IpAddr) -> Vec<String> {
    let family = service.is_ipv6().then_some("-6");
    let words = [Some(verb), family, Some("-host")];
    words
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .chain([service.to_string()])
        .collect()
}

fn net_words(verb: &str, net: &str, via: Option<String>) -> Vec<String> {
    let family = net.contains(':').then_some("-6");
    let words = [Some(verb), family, Some("-net"), Some(net)];
    words
        .into_iter()
        .flatten()
        .map(str::to_owned)
        .chain(via)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(event: &Event) -> Vec<String> {
        let line = |act: &Act| match act {
            Act::Route(words) => Some(words.join(" ")),
            _ => None,
        };
        event.acts.iter().filter_map(line).collect()
    }

    fn titled(title: &str) -> Event {
        script(true, 5)
            .into_iter()
            .find(|e| e.title == title)
            .unwrap()
    }

    #[test]
    fn the_commands_are_what_a_person_would_type() {
        let members = first_members(2);
        let Act::Route(words) = &first_routes(true, &members)[1] else {
            panic!("no command")
        };
        assert_eq!(
            words.join(" "),
            "add -6 -host 2001:db8:113::10 fd00:2::11 fd00:2::12"
        );
        assert_eq!(
            commands(&titled("srv6 added")),
            [
                "add -host 203.0.113.10 192.0.2.16",
                "add -6 -host 2001:db8:113::10 fd00:2::16"
            ]
        );
        assert_eq!(
            commands(&titled("srv2 drained"))[0],
            "change -host 203.0.113.10 192.0.2.12 -weight 0"
        );
        assert_eq!(
            commands(&titled("srv2 deleted"))[0],
            "delete -host 203.0.113.10 192.0.2.12"
        );
    }

    #[test]
    fn an_unrelated_route_that_is_added_is_deleted_again() {
        let lines = commands(&titled("unrelated routes flap"));
        let count = |verb: &str| lines.iter().filter(|line| line.starts_with(verb)).count();
        assert_eq!((count("add "), count("delete ")), (4, 4));
    }

    #[test]
    fn without_ipv6_no_command_names_it() {
        for event in script(false, 5) {
            assert!(
                commands(&event).iter().all(|line| !line.contains(':')),
                "{event:?}"
            );
        }
    }

    #[test]
    fn members_are_those_who_take_new_flows_after_each_event() {
        let servers = |title: &str| -> Vec<u32> {
            titled(title)
                .members
                .iter()
                .map(|m| u32::from(m.server.0) + 1)
                .collect()
        };
        assert_eq!(servers("unrelated routes flap"), [1, 2, 3, 4, 5]);
        assert_eq!(servers("srv6 added"), [1, 2, 3, 4, 5, 6]);
        assert_eq!(servers("srv2 drained"), [1, 3, 4, 5, 6]);
        assert_eq!(servers("srv4 deleted"), [1, 3, 5, 6]);
        assert_eq!(servers("srv3 killed"), [1, 5, 6]);
        assert_eq!(servers("srv3 brought back"), [1, 3, 5, 6]);
        assert_eq!(titled("srv3 brought back").members[0].weight, HEAVY);
    }

    #[test]
    fn only_a_deletion_and_a_death_take_a_next_hop_away() {
        for event in script(true, 5) {
            let takes = event.title.ends_with("deleted") || event.title.ends_with("killed");
            assert_eq!(event.leaves.is_some(), takes, "{}", event.title);
        }
    }
}
