//! What control would refuse of the configuration, found by asking it: a gateway in memory is given timeouts, groups and
//! routes as at a start, and then dropped. So `--check` refuses what `run` refuses, with the same line.

use super::plan::Plan;
use super::preflight::Refusal;
use super::secrets::Secrets;
use crate::cli::exit::Exit;
use flowtable::GroupSecret;
use flowtable::TableSecret;
use stack::Now;
use stack::Setup;
use stack::Wakers;

/// Places of tables in which nothing is looked up.
const FEW: usize = 64;

/// Starts without devices, threads and packets.
///
/// # Errors
/// What `run` would end with once it has its devices, with the same status.
pub(super) fn check(plan: &Plan<'_>) -> Result<(), Refusal> {
    // They decide which bucket a flow has, and there is no flow.
    let secrets = Secrets {
        table: TableSecret([0; 16]),
        group: GroupSecret([0; 16]),
        seed: 0,
    };
    let setup = Setup {
        workers: 1,
        max_workers: 1,
        flows_v4: FEW,
        flows_v6: FEW,
        templates: FEW,
        buffers: FEW,
        ..plan.setup(plan.ports_alone(&secrets), &secrets)
    };
    let now = Now(0);
    let built = stack::build(setup, &Wakers::null(1), now);
    let mut gateway = built.map_err(|error| (Exit::System, format!("flowgate: {error}")))?;
    let (control, host) = (&mut gateway.control, &mut gateway.host);
    let wrong = |line: String| (Exit::Config, line);
    plan.timeouts(control).map_err(wrong)?;
    plan.install(control, host, now).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use std::path::Path;

    const PORTS: &str = r#"
[gateway]
fibs = 2
[[port]]
name = "rack"
type = "tun"
addresses = ["192.0.2.1/24", "fd00:2::1/64"]
[[group]]
number = 7
gateways = ["192.0.2.11", "192.0.2.12"]
"#;

    /// What is said of a configuration that has these lines too.
    fn said(lines: &str) -> Result<(), String> {
        let file = Path::new("flowgate.toml");
        let config = config::parse(file, &format!("{PORTS}{lines}")).unwrap();
        check(&Plan::new(file, &config)).map_err(|(exit, line)| {
            assert_eq!(exit, Exit::Config);
            line
        })
    }

    fn route(more: &str) -> String {
        format!("[[route]]\ndestination = \"10.0.0.0/8\"\ngroup = 7\n{more}")
    }

    #[test]
    fn what_a_route_says_of_its_group_must_be_what_that_is() {
        assert_eq!(said(&route("")), Ok(()));
        assert_eq!(
            said(&route("gateways = [\"192.0.2.12\", \"192.0.2.11\"]\n")),
            Ok(())
        );
        let conflicts = [
            ("gateways = [\"192.0.2.11\"]\n", "members"),
            (
                "gateways = [{ address = \"192.0.2.11\", weight = 2 }, \"192.0.2.12\"]\n",
                "weights",
            ),
            ("select = \"source\"\n", "options"),
            ("buckets = 256\n", "buckets"),
        ];
        for (more, what) in conflicts {
            let line = said(&route(more)).expect_err(what);
            assert!(line.starts_with("flowgate.toml:12: "), "{what}: {line}");
            assert!(line.contains('7'), "{what}: {line}");
        }
        let v6 = "[[route]]\ndestination = \"2001:db8::/32\"\ngroup = 7\n";
        let line = said(v6).expect_err("family");
        assert!(line.starts_with("flowgate.toml:12: "), "{line}");
    }
}
