//! The demo's command line.

use clap::Args;

/// Words that `flowgate demo` understands.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
#[command(after_help = "\
Examples:
  flowgate demo                      the whole demo, under a minute
  flowgate demo --shell              then a shell in which curl, ping and flowgate work against it
  flowgate demo --json > demo.json   the result for programs
  flowgate demo --connections 4000 --workers 4

Exit status: 0 all is well; 1 a flow moved or broke although its next hop stays, or the demo
cannot run here (one line says why); 130 interrupted.")]
pub struct DemoArgs {
    /// Keep the gateway running afterwards and start $SHELL in its network.
    #[arg(long)]
    pub shell: bool,
    /// Kernel TCP connections to keep busy.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = connections)]
    pub connections: usize,
    /// Workers, one for each queue of each port.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = workers)]
    pub workers: usize,
    /// Print the result as JSON.
    #[arg(long)]
    pub json: bool,
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self {
            shell: false,
            connections: 1000,
            workers: 2,
            json: false,
        }
    }
}

fn connections(text: &str) -> Result<usize, String> {
    within(text, 20, 20_000)
}

fn workers(text: &str) -> Result<usize, String> {
    within(text, 1, 64)
}

fn within(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|n| (least..=most).contains(n));
    number.ok_or_else(|| format!("write a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        demo: DemoArgs,
    }

    fn parse(words: &[&str]) -> Result<DemoArgs, String> {
        let line = Line::try_parse_from([&["demo"], words].concat());
        line.map(|line| line.demo)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_a_thousand_connections_and_two_workers() {
        assert_eq!(parse(&[]), Ok(DemoArgs::default()));
    }

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        for words in [["--connections", "19"], ["--connections", "many"]] {
            let error = parse(&words).unwrap_err();
            assert!(error.contains("write a number from 20 to 20000"), "{error}");
        }
        assert!(
            parse(&["--workers", "65"])
                .unwrap_err()
                .contains("from 1 to 64")
        );
        assert_eq!(
            parse(&["--connections", "20"]).map(|a| a.connections),
            Ok(20)
        );
    }
}
