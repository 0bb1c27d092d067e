//! The report as a picture (SVG): million packets a second over threads, both axes logarithmic, so that
//! "twice the threads, twice the packets" is a straight line for every way.
//!
//! A reader should need nothing but the picture: it names the machine, says how to read it, draws what
//! would be ideal, and writes each way's name, rate and shared read-modify-writes at the line's end.
//! Colours are those of Okabe and Ito, told apart by colour-blind readers; marks differ in shape too.

mod frame;
mod labels;
mod marks;

use super::report::{Report, Series, disturbance};
use frame::Frame;
use labels::{Label, spread};
use marks::{COLOURS, mark};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Size of the picture.
const SIZE: (u32, u32) = (1180, 734);
/// Between a line's end and its name.
const LABEL_GAP: i32 = 34;
/// Least distance between two names, which have two lines each.
const LABEL_PITCH: i32 = 40;
/// The way that is drawn thicker.
const OURS: &str = "flowgate";

const INK: RGBColor = RGBColor(20, 20, 20);
const QUIET: RGBColor = RGBColor(70, 70, 70);
const FAINT: RGBColor = RGBColor(222, 222, 222);
const SHADE: RGBColor = RGBColor(244, 241, 234);

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Drawing into a string fails only if this file asks for the impossible; the text says for what.
type Drawn = Result<(), String>;
type Pixel = (i32, i32);

/// The picture as an SVG document.
///
/// # Errors
/// What the drawing library says, in one line.
pub(super) fn render(report: &Report) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(said)?;
        let frame = Frame::of(report);
        titles(&root, report)?;
        crowded(&root, &frame, report)?;
        axes(&root, &frame)?;
        ideal(&root, &frame, report)?;
        for (i, series) in report.series.iter().enumerate() {
            line(&root, &frame, series, i)?;
        }
        names(&root, &frame, report)?;
        root.present().map_err(said)?;
    }
    Ok(svg)
}

fn said(error: impl std::fmt::Display) -> String {
    format!("cannot draw the plot: {error}")
}

/// Writes `text` with its anchor `at`.
fn write(
    canvas: &Canvas<'_>,
    text: &str,
    at: Pixel,
    size: u32,
    colour: RGBColor,
    to: HPos,
) -> Drawn {
    let font = ("sans-serif", size).into_font();
    let style = TextStyle::from(font)
        .color(&colour)
        .pos(Pos::new(to, VPos::Center));
    canvas.draw_text(text, &style, at).map_err(said)
}

/// Draws a line through `points`.
fn stroke(canvas: &Canvas<'_>, points: Vec<Pixel>, colour: RGBColor, width: u32) -> Drawn {
    canvas
        .draw(&PathElement::new(points, colour.stroke_width(width)))
        .map_err(said)
}

/// What is shown, how to read it, on what it ran.
fn titles(canvas: &Canvas<'_>, report: &Report) -> Drawn {
    let title = "Resolving a packet's output: what sharing costs";
    let how = format!(
        "The same work in each way: next hop and link header for a packet of one of {} flows a thread, one default \
         route. Median of {} run(s); bars: least and most. Higher is better.",
        report.args.flows, report.args.runs
    );
    write(canvas, title, (20, 28), 26, INK, HPos::Left)?;
    write(canvas, &how, (20, 58), 14, QUIET, HPos::Left)?;
    write(
        canvas,
        &report.machine.line(),
        (20, 80),
        14,
        QUIET,
        HPos::Left,
    )?;
    if disturbance(report).is_some() {
        let warning = "The machine was busy with other programs while this was measured: \
                       the rates are too low. Measure again.";
        write(canvas, warning, (20, 100), 14, COLOURS[0], HPos::Left)?;
    }
    Ok(())
}

/// Shades the part where threads outnumber CPUs.
fn crowded(canvas: &Canvas<'_>, frame: &Frame, report: &Report) -> Drawn {
    let cpus = report.machine.cpus.len();
    let Some(left) = frame.crowded_from(cpus) else {
        return Ok(());
    };
    let corners = [(left, frame::TOP), (frame::RIGHT, frame::BOTTOM)];
    canvas
        .draw(&Rectangle::new(corners, SHADE.filled()))
        .map_err(said)?;
    let below = ((left + frame::RIGHT) / 2, frame::BOTTOM + 37);
    let words = format!("more threads than CPUs ({cpus})");
    write(canvas, &words, below, 14, QUIET, HPos::Center)
}

/// Grid, axes, their numbers and names.
fn axes(canvas: &Canvas<'_>, frame: &Frame) -> Drawn {
    for threads in &frame.thread_ticks {
        let x = frame.x(*threads as f64);
        stroke(canvas, vec![(x, frame::TOP), (x, frame::BOTTOM)], FAINT, 1)?;
        write(
            canvas,
            &threads.to_string(),
            (x, frame::BOTTOM + 18),
            15,
            INK,
            HPos::Center,
        )?;
    }
    for mpps in &frame.rate_ticks {
        let y = frame.y(*mpps);
        stroke(canvas, vec![(frame::LEFT, y), (frame::RIGHT, y)], FAINT, 1)?;
        write(
            canvas,
            &mpps.to_string(),
            (frame::LEFT - 10, y),
            15,
            INK,
            HPos::Right,
        )?;
    }
    let outline = [
        (frame::LEFT, frame::TOP),
        (frame::LEFT, frame::BOTTOM),
        (frame::RIGHT, frame::BOTTOM),
    ];
    stroke(canvas, outline.to_vec(), QUIET, 1)?;
    let middle = (frame::LEFT + frame::RIGHT) / 2;
    let below = (middle, frame::BOTTOM + 62);
    write(
        canvas,
        "threads, each pinned to a CPU (log scale)",
        below,
        16,
        INK,
        HPos::Center,
    )?;
    let above = (20, frame::TOP - 16);
    write(
        canvas,
        "million packets a second, all threads together (log scale)",
        above,
        16,
        INK,
        HPos::Left,
    )
}

/// What the fastest way on one thread would reach if every CPU added as much as the first.
fn ideal(canvas: &Canvas<'_>, frame: &Frame, report: &Report) -> Drawn {
    let Some(one) = frame::best_of_one_thread(report) else {
        return Ok(());
    };
    let cpus = report.machine.cpus.len();
    let point = |n: &usize| frame.at(*n as f64, one * (*n).min(cpus) as f64);
    let points: Vec<Pixel> = report.args.threads.iter().map(point).collect();
    let Some(end) = points.last().copied() else {
        return Ok(());
    };
    DashedPath(points, QUIET).draw(canvas)?;
    let above = (end.0, end.1 - 14);
    write(
        canvas,
        "ideal: each CPU adds as much",
        above,
        14,
        QUIET,
        HPos::Right,
    )
}

/// A dashed line.
struct DashedPath(Vec<Pixel>, RGBColor);

impl DashedPath {
    fn draw(self, canvas: &Canvas<'_>) -> Drawn {
        let style = self.1.stroke_width(2);
        canvas
            .draw(&plotters::element::DashedPathElement::new(
                self.0, 7, 6, style,
            ))
            .map_err(said)
    }
}

/// A way's line, with a mark and a bar from least to most at each point.
fn line(canvas: &Canvas<'_>, frame: &Frame, series: &Series, i: usize) -> Drawn {
    let colour = COLOURS[i % COLOURS.len()];
    let width = if series.way.name == OURS { 4 } else { 2 };
    let at = |threads: usize, mpps: f64| frame.at(threads as f64, mpps);
    let points = series
        .rows
        .iter()
        .map(|row| at(row.threads, row.mpps.median))
        .collect();
    stroke(canvas, points, colour, width)?;
    for row in &series.rows {
        let bar = vec![at(row.threads, row.mpps.min), at(row.threads, row.mpps.max)];
        stroke(canvas, bar, colour, 2)?;
        mark(canvas, at(row.threads, row.mpps.median), i, colour)?;
    }
    Ok(())
}

/// Each way's name, rate and cost beside the end of its line, none over another.
fn names(canvas: &Canvas<'_>, frame: &Frame, report: &Report) -> Drawn {
    let mut labels: Vec<Label> = Vec::new();
    for (i, series) in report.series.iter().enumerate() {
        let Some(row) = series.rows.last() else {
            continue;
        };
        let end = frame.at(row.threads as f64, row.mpps.median);
        labels.push(Label {
            series: i,
            end,
            y: end.1,
        });
    }
    spread(&mut labels, LABEL_PITCH, frame::TOP, frame::BOTTOM);
    for label in labels {
        let series = &report.series[label.series];
        let colour = COLOURS[label.series % COLOURS.len()];
        let x = frame::RIGHT + LABEL_GAP;
        let near = (x - 8, label.y);
        stroke(
            canvas,
            vec![
                (label.end.0 + 9, label.end.1),
                (frame::RIGHT + 6, label.end.1),
                near,
            ],
            colour,
            1,
        )?;
        let (name, cost) = words(series);
        write(canvas, &name, (x, label.y - 8), 17, INK, HPos::Left)?;
        write(canvas, &cost, (x, label.y + 10), 13, QUIET, HPos::Left)?;
    }
    Ok(())
}

/// The two lines beside the end of a way's line: its rate where every thread has a CPU, its cost.
fn words(series: &Series) -> (String, String) {
    let fits = series.rows.iter().rfind(|row| !row.oversubscribed);
    let rate = fits.map_or(String::new(), |row| {
        let cpus = if row.threads == 1 { "CPU" } else { "CPUs" };
        format!(" · {:.1} Mpps on {} {cpus}", row.mpps.median, row.threads)
    });
    let cost = match &series.counts {
        Ok(counts) => format!(
            "{:.1} shared read-modify-writes a packet",
            counts.shared_rmw
        ),
        Err(_) => series.way.about.into(),
    };
    (format!("{}{rate}", series.way.name), cost)
}

#[cfg(test)]
mod tests {
    use super::super::report::tests::sample;
    use super::*;

    #[test]
    fn the_picture_names_ways_machine_and_axes() {
        let svg = render(&sample()).expect("drawn");
        for words in [
            "freebsd8",
            "rwlock",
            "Test CPU",
            "threads",
            "million packets",
            "ideal",
            "was busy",
        ] {
            assert!(svg.contains(words), "{words} is missing");
        }
        assert!(svg.contains("than CPUs (2)"));
        assert!(svg.contains("5.0 Mpps on 2 CPUs"));
    }

    #[test]
    fn it_is_drawn_with_the_letters_that_are_brought_along() {
        let svg = render(&sample()).expect("drawn");
        assert!(super::super::raster::png(&svg).is_ok());
    }

    #[test]
    fn one_way_at_one_thread_is_a_picture_too() {
        let mut report = sample();
        report.args.threads = vec![1];
        report.series.truncate(1);
        report.series[0].rows.truncate(1);
        assert!(render(&report).is_ok());
    }
}
