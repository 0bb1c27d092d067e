//! Transfers: what iperf3 reaches through each of the three.

use super::iperf::{self, Run};
use super::report::{At, Report};
use super::{Job, Way, cpu, start};

/// The name of its numbers.
const GBIT: &str = "gbit_s";
const AGAIN: &str = "sent_again";
const CPU: &str = "cpu_ns_a_packet";
/// Of what arrived: super-packets are larger the later they are fetched, so that time a packet alone misleads.
const CPU_KIB: &str = "cpu_ns_a_kib";
const SIZE: &str = "bytes_a_packet";

/// Measures every turn and prints the table.
pub(super) fn measure(job: &Job, report: &mut Report) -> Result<(), String> {
    let runs = runs(job);
    for turn in 0..job.turns {
        for way in Way::groups(job).concat() {
            let (ends, forwarder) = start(way, job)?;
            for run in &runs {
                let before = (forwarder.forwarded(), cpu::forwarding_ns(way));
                let got = iperf::measure(&ends, run)?;
                let packets = forwarder.forwarded() - before.0;
                let ns = cpu::forwarding_ns(way).saturating_sub(before.1);
                let mut numbers = vec![(GBIT, got.gbit), (AGAIN, got.again as f64)];
                if packets > 0 {
                    numbers.push(("packets", packets as f64));
                    numbers.push((CPU, ns as f64 / packets as f64));
                    numbers.push((CPU_KIB, ns as f64 * 1024.0 / got.bytes));
                    numbers.push((SIZE, got.bytes / packets as f64));
                }
                let (way, run) = (way.name(), &run.name());
                report.add(At { turn, way, run }, &numbers)?;
            }
        }
    }
    print(report, &runs);
    Ok(())
}

/// TCP with each number of streams, both ways.
fn runs(job: &Job) -> Vec<Run> {
    let seconds = job.seconds;
    let tcp = |&streams: &usize| {
        [false, true].map(|back| Run {
            streams,
            back,
            seconds,
        })
    };
    job.streams.iter().flat_map(tcp).collect()
}

/// Medians, and what share of the others' Flowgate reaches.
fn print(report: &Report, runs: &[Run]) {
    println!(
        "\n{:<20} {:>10} {:>10} {:>10} {:>9} {:>9}   sent again",
        "Gbit/s, medians", "bare loop", "flowgate", "kernel", "of bare", "of kernel"
    );
    for run in runs {
        let run = &run.name();
        let [bare, flowgate, kernel] = Way::ALL.map(|way| report.median(way.name(), run, GBIT));
        let again: f64 = report.all(Way::Flowgate.name(), run, AGAIN).iter().sum();
        println!(
            "{run:<20} {bare:>10.2} {flowgate:>10.2} {kernel:>10.2} {:>9.2} {:>9.2}   {again}",
            flowgate / bare,
            flowgate / kernel
        );
        let testpmd = report.median(Way::Testpmd.name(), run, GBIT);
        if testpmd > 0.0 {
            let share = flowgate / testpmd;
            println!(
                "{run:<20} testpmd, without offloads: {testpmd:.2}; flowgate {share:.2} of it"
            );
        }
    }
    println!("\nCPU time of the forwarding thread, medians; acknowledgements are packets too");
    for run in runs {
        print_cpu(report, &run.name());
    }
}

fn print_cpu(report: &Report, run: &str) {
    let both = |what| [Way::Bare, Way::Flowgate].map(|way| report.median(way.name(), run, what));
    let [[bare, ours], [bare_kib, kib], [bare_size, size]] = [CPU, CPU_KIB, SIZE].map(both);
    let more = |ours: f64, bare: f64| (ours / bare - 1.0) * 100.0;
    println!(
        "{run}: a packet: bare loop {bare:.0} ns, flowgate {ours:.0} ns, more by {:.0} ns, {:.0} %; a KiB: {bare_kib:.0} ns, \
        {kib:.0} ns, {:.0} %; bytes a packet: {bare_size:.0}, {size:.0}",
        ours - bare,
        more(ours, bare),
        more(kib, bare_kib)
    );
}
