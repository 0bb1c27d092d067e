//! The outer shape of the command line, by clap. `route`, `arp`, `ndp` and `netstat` take their words as FreeBSD's tools do:
//! clap hands them on unread.

mod examples;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use examples::DEMO_EXAMPLES;
use examples::EXAMPLES;
use examples::FLOW_EXAMPLES;
use examples::NEXTHOP_EXAMPLES;
use examples::PING_EXAMPLES;
use examples::REPLAY_EXAMPLES;
use examples::RUN_EXAMPLES;
use examples::STATUS_EXAMPLES;
use examples::TEMPLATE_EXAMPLES;
use examples::WORKERS_EXAMPLES;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

/// A userspace, FreeBSD-style IP routing stack and load-balancing gateway.
#[derive(Debug, Parser)]
#[command(name = "flowgate", version, after_help = EXAMPLES, max_term_width = 110)]
pub(super) struct Flowgate {
    /// The gateway's control socket (or FLOWGATE_SOCKET)
    #[arg(long, global = true, value_name = "PATH")]
    pub(super) socket: Option<PathBuf>,

    /// Print JSON; its keys are described in docs/CONTROL.md
    #[arg(long, global = true)]
    pub(super) json: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

/// The words of a tool that reads them itself.
#[derive(Debug, Args)]
pub(super) struct ToolWords {
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "WORDS"
    )]
    pub(super) words: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a gateway from a configuration file
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),

    /// Show what the gateway does, on this machine, in half a minute
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),

    /// Play captures through a gateway in memory, off-line
    #[command(after_help = REPLAY_EXAMPLES)]
    Replay(ReplayArgs),

    /// Show and change routes: FreeBSD's route(8)
    #[command(disable_help_flag = true)]
    Route(ToolWords),

    /// Show and change IPv4 neighbours: FreeBSD's arp(8)
    #[command(disable_help_flag = true)]
    Arp(ToolWords),

    /// Show and change IPv6 neighbours: FreeBSD's ndp(8)
    #[command(disable_help_flag = true)]
    Ndp(ToolWords),

    /// Show tables, ports and counters: FreeBSD's netstat(1)
    #[command(disable_help_flag = true)]
    Netstat(ToolWords),

    /// Show and change next-hop groups that routes share by a number
    #[command(disable_help_flag = true)]
    Group(ToolWords),

    /// Show dropped packets and changes, or all packets; write pcapng
    #[command(disable_help_flag = true)]
    Capture(ToolWords),

    /// Say what would become of a packet, and why
    #[command(disable_help_flag = true)]
    Explain(ToolWords),

    /// List, flush and count flows
    #[command(subcommand, after_help = FLOW_EXAMPLES)]
    Flow(FlowCommand),

    /// List and flush the affinity templates of sticky routes
    #[command(subcommand, after_help = TEMPLATE_EXAMPLES)]
    Template(TemplateCommand),

    /// Show next hops, drain one everywhere, declare one dead
    #[command(subcommand, after_help = NEXTHOP_EXAMPLES)]
    Nexthop(NexthopCommand),

    /// Ping from the gateway itself: FreeBSD's ping(8)
    #[command(after_help = PING_EXAMPLES)]
    Ping(PingArgs),

    /// Show the workers and what they own, change how many there are
    #[command(after_help = WORKERS_EXAMPLES)]
    Workers {
        #[command(subcommand)]
        command: Option<WorkersCommand>,
    },

    /// Show the gateway's state: uptime, workers, table fills, moved flows
    #[command(after_help = STATUS_EXAMPLES)]
    Status,
}

/// Arguments of `flowgate run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Check the configuration and stop
    #[arg(long)]
    pub check: bool,

    /// What to log: error, warn, info, debug, or a filter as RUST_LOG has it
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

/// Arguments of `flowgate replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    /// The captures; PORT= says by which port one comes in
    #[arg(value_name = "[PORT=]CAPTURE", required = true)]
    pub captures: Vec<OsString>,

    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,

    /// Where to write what each port sends
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,

    /// As fast as the captures were, not as fast as it goes
    #[arg(long)]
    pub realtime: bool,

    /// Leave frames' destinations as they are
    #[arg(long)]
    pub as_sent: bool,

    /// Leave questions for neighbours to the captures
    #[arg(long)]
    pub no_answers: bool,
}

/// Arguments of `flowgate demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Keep the gateway running afterwards, with a shell inside its namespace
    #[arg(long)]
    pub shell: bool,

    /// How many TCP connections to hold
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = connections)]
    pub connections: usize,

    /// Print the result as JSON
    #[arg(skip)]
    pub json: bool,

    /// The control socket to serve meanwhile, if one was named
    #[arg(skip)]
    pub socket: Option<PathBuf>,
}

fn connections(text: &str) -> Result<usize, String> {
    let right = || format!("{text}: write a number from 1 to 20000");
    text.parse()
        .ok()
        .filter(|count| (1..=20_000).contains(count))
        .ok_or_else(right)
}

/// How many there may be the gateway knows.
fn worker_count(text: &str) -> Result<u16, String> {
    let right =
        "write a number from 1 to max-workers of the configuration, which 'flowgate workers' shows";
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| right.to_owned())
}

/// `flowgate nexthop ...`
#[derive(Debug, Subcommand)]
pub(super) enum NexthopCommand {
    /// List the next hops, as netstat -o does
    #[command(after_help = NEXTHOP_EXAMPLES)]
    Show,
    /// Give it no new flows; those it has stay
    #[command(after_help = NEXTHOP_EXAMPLES)]
    Drain {
        /// The next hop's address
        gateway: String,
        /// After so many seconds the flows that are left move
        #[arg(long, value_name = "SECONDS")]
        deadline: Option<u32>,
        /// Only say which flows that would move
        #[arg(long)]
        plan: bool,
    },
    /// Give it new flows again
    #[command(after_help = NEXTHOP_EXAMPLES)]
    In {
        /// The next hop's address
        gateway: String,
    },
    /// Declare it dead, whatever it answers: its flows move
    #[command(after_help = NEXTHOP_EXAMPLES)]
    Down {
        /// The next hop's address
        gateway: String,
    },
    /// Take 'down' back
    #[command(after_help = NEXTHOP_EXAMPLES)]
    Up {
        /// The next hop's address
        gateway: String,
    },
}

/// `flowgate workers ...`
#[derive(Debug, Subcommand)]
pub(super) enum WorkersCommand {
    /// Show them: the number, the slots and flows of each
    #[command(after_help = WORKERS_EXAMPLES)]
    Show,
    /// Have so many own the slots from now on
    #[command(after_help = WORKERS_EXAMPLES)]
    Set {
        /// How many, 1 to max-workers of the configuration
        #[arg(value_parser = worker_count)]
        workers: u16,
    },
}

/// `flowgate flow ...`
#[derive(Debug, Subcommand)]
pub(super) enum FlowCommand {
    /// List flows
    #[command(after_help = FLOW_EXAMPLES)]
    List {
        #[command(flatten)]
        filter: FlowFilterArgs,

        /// List at most so many
        #[arg(long, value_name = "N")]
        limit: Option<u64>,

        /// List the affinity templates of sticky routes instead: --addr is the client's
        #[arg(long, conflicts_with_all = ["port", "proto", "worker", "state", "limit"])]
        templates: bool,
    },

    /// Forget flows: their next packets choose a next hop again
    #[command(after_help = FLOW_EXAMPLES)]
    Flush {
        #[command(flatten)]
        filter: FlowFilterArgs,

        /// All of them
        #[arg(long)]
        all: bool,
    },

    /// Show the tables' fills and counters, and why flows moved
    #[command(after_help = FLOW_EXAMPLES)]
    Stats,

    /// Show how long silent flows are kept, by state; change one
    #[command(after_help = FLOW_EXAMPLES)]
    Timeout {
        /// Which, such as udp-two-way; left out: all are shown
        name: Option<String>,

        /// Seconds, 1 to 604800; left out: it is shown
        seconds: Option<u32>,

        /// Of the flows of routes with -timeouts NAME; one that is not there is made
        #[arg(long, value_name = "NAME")]
        class: Option<String>,

        /// Delete such timeouts, which no route has any more
        #[arg(long, value_name = "NAME", conflicts_with_all = ["name", "class"])]
        delete: Option<String>,
    },
}

/// `flowgate template ...`
#[derive(Debug, Subcommand)]
pub(super) enum TemplateCommand {
    /// List templates
    #[command(after_help = TEMPLATE_EXAMPLES)]
    List {
        #[command(flatten)]
        filter: TemplateFilterArgs,
    },

    /// Forget templates: the next new flows choose a next hop again, flows stay
    #[command(after_help = TEMPLATE_EXAMPLES)]
    Flush {
        #[command(flatten)]
        filter: TemplateFilterArgs,

        /// All of them
        #[arg(long)]
        all: bool,
    },
}

/// Which templates.
#[derive(Debug, Args)]
pub(super) struct TemplateFilterArgs {
    /// The client network lies in this prefix, or holds it
    #[arg(long, value_name = "ADDRESS[/LEN]")]
    pub(super) client: Option<String>,

    /// Flows go to the next hop with this gateway
    #[arg(long, value_name = "GATEWAY")]
    pub(super) nexthop: Option<IpAddr>,
}

/// Arguments of `flowgate ping`; numbers are read by the command, which says what would be right.
#[derive(Debug, Args)]
pub(super) struct PingArgs {
    /// The address is an IPv4 one
    #[arg(short = '4', conflicts_with = "v6")]
    pub(super) v4: bool,

    /// The address is an IPv6 one
    #[arg(short = '6')]
    pub(super) v6: bool,

    /// Names are not looked up: always in force
    #[arg(short = 'n')]
    pub(super) numeric: bool,

    /// Send so many requests [default: until Ctrl-C]
    #[arg(short = 'c', value_name = "COUNT")]
    pub(super) count: Option<String>,

    /// Seconds from one request to the next, 0.01 to 3600 [default: 1]
    #[arg(short = 'i', value_name = "SECONDS")]
    pub(super) interval: Option<String>,

    /// Seconds to wait for each reply, 0.01 to 60 [default: 2]
    #[arg(short = 'W', value_name = "SECONDS")]
    pub(super) wait: Option<String>,

    /// Data bytes of a request [default: 56]
    #[arg(short = 's', value_name = "SIZE")]
    pub(super) size: Option<String>,

    /// Whom to ping; a link-local address with its port, fe80::1%PORT
    #[arg(value_name = "ADDRESS")]
    pub(super) address: String,
}

/// Which flows; what is not given matches all.
#[derive(Debug, Args)]
pub(super) struct FlowFilterArgs {
    /// Either end is this address, or lies in this prefix
    #[arg(long, value_name = "ADDRESS[/LEN]")]
    pub(super) addr: Option<String>,

    /// Either end has this port
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,

    /// tcp, udp, icmp, icmp6, sctp or a number
    #[arg(long, value_name = "PROTOCOL")]
    pub(super) proto: Option<String>,

    /// Pinned to the next hop with this gateway, in either direction
    #[arg(long, value_name = "GATEWAY")]
    pub(super) nexthop: Option<IpAddr>,

    /// Owned by this worker
    #[arg(long, value_name = "N")]
    pub(super) worker: Option<u16>,

    /// In this state, by its name in the list
    #[arg(long, value_name = "STATE")]
    pub(super) state: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_of_help_is_so_long_that_clap_breaks_it() {
        let texts = [
            EXAMPLES,
            RUN_EXAMPLES,
            DEMO_EXAMPLES,
            FLOW_EXAMPLES,
            TEMPLATE_EXAMPLES,
            PING_EXAMPLES,
            STATUS_EXAMPLES,
        ];
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.len() < 100, "{} columns: {line}", line.len());
        }
    }
}
