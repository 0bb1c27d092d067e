//! A picture (SVG) of lines over two logarithmic axes, so that "twice as many, twice as much" is straight.
//!
//! A reader should need nothing but the picture: it has room for what is shown, how to read it and on what it
//! ran, and writes each line's name and a note at the line's end. Colours are those of Okabe and Ito, told
//! apart by colour-blind readers; marks differ in shape too.

mod frame;
mod labels;
mod marks;
mod raster;

pub(crate) use raster::png;

use crate::common::stats::Summary;
use frame::Frame;
use labels::{Label, spread};
use marks::{COLOURS, OURS, mark};
use plotters::coord::Shift;
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Size of the picture.
const SIZE: (u32, u32) = (1180, 754);
/// Between a line's end and its name.
const LABEL_GAP: i32 = 34;
/// Least distance between two names, which have two lines each.
const LABEL_PITCH: i32 = 40;

const INK: RGBColor = RGBColor(20, 20, 20);
const QUIET: RGBColor = RGBColor(70, 70, 70);
const FAINT: RGBColor = RGBColor(222, 222, 222);
const SHADE: RGBColor = RGBColor(244, 241, 234);

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Drawing into a string fails only if this file asks for the impossible; the text says for what.
type Drawn = Result<(), String>;
type Pixel = (i32, i32);

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// How to read it and where it was measured: at most three lines.
    pub(crate) how: Vec<String>,
    /// What makes the numbers doubtful.
    pub(crate) warning: Option<String>,
    /// What the level and the upright axis count.
    pub(crate) across: String,
    pub(crate) upright: String,
    /// What is written along the level axis, ascending.
    pub(crate) ticks: Vec<(f64, String)>,
    pub(crate) lines: Vec<Line>,
    /// What would be best.
    pub(crate) ideal: Option<Ideal>,
    /// The part above a value of the level axis that is shaded, and what to think of it.
    pub(crate) shade: Option<(f64, String)>,
}

/// One line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) note: String,
    /// Drawn thicker, in a colour of its own.
    pub(crate) ours: bool,
    /// By the level axis, ascending.
    pub(crate) points: Vec<(f64, Summary)>,
    /// A model's values, drawn thin and dashed. No further than the points go.
    pub(crate) fit: Vec<(f64, f64)>,
}

impl Line {
    /// The colour of line number `i`.
    fn colour(&self, i: usize) -> RGBColor {
        if self.ours {
            OURS
        } else {
            COLOURS[i % COLOURS.len()]
        }
    }
}

/// A dashed line with its name.
#[derive(Clone, Debug)]
pub(crate) struct Ideal {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

/// The picture as an SVG document.
///
/// # Errors
/// What the drawing library says, in one line.
pub(crate) fn render(chart: &Chart) -> Result<String, String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(said)?;
        let frame = Frame::of(chart);
        titles(&root, chart)?;
        shade(&root, &frame, chart)?;
        axes(&root, &frame, chart)?;
        ideal(&root, &frame, chart)?;
        for (i, line) in chart.lines.iter().enumerate() {
            draw(&root, &frame, line, i)?;
        }
        names(&root, &frame, chart)?;
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

/// Draws a dashed line through `points`.
fn dashes(
    canvas: &Canvas<'_>,
    points: Vec<Pixel>,
    colour: RGBColor,
    (width, long): (u32, u32),
) -> Drawn {
    let style = colour.stroke_width(width);
    canvas
        .draw(&DashedPathElement::new(points, long, long, style))
        .map_err(said)
}

/// What is shown, how to read it, on what it ran.
fn titles(canvas: &Canvas<'_>, chart: &Chart) -> Drawn {
    write(canvas, &chart.title, (20, 26), 26, INK, HPos::Left)?;
    let mut y = 54;
    for line in &chart.how {
        write(canvas, line, (20, y), 14, QUIET, HPos::Left)?;
        y += 20;
    }
    match &chart.warning {
        Some(warning) => write(canvas, warning, (20, y), 14, COLOURS[0], HPos::Left),
        None => Ok(()),
    }
}

/// Shades the part that says something else than the rest.
fn shade(canvas: &Canvas<'_>, frame: &Frame, chart: &Chart) -> Drawn {
    let Some((limit, words)) = &chart.shade else {
        return Ok(());
    };
    let Some(left) = frame.beyond(&chart.ticks, *limit) else {
        return Ok(());
    };
    let corners = [(left, frame::TOP), (frame::RIGHT, frame::BOTTOM)];
    canvas
        .draw(&Rectangle::new(corners, SHADE.filled()))
        .map_err(said)?;
    let below = ((left + frame::RIGHT) / 2, frame::BOTTOM + 37);
    write(canvas, words, below, 14, QUIET, HPos::Center)
}

/// Grid, axes, their numbers and names.
fn axes(canvas: &Canvas<'_>, frame: &Frame, chart: &Chart) -> Drawn {
    for (value, words) in &chart.ticks {
        let x = frame.x(*value);
        stroke(canvas, vec![(x, frame::TOP), (x, frame::BOTTOM)], FAINT, 1)?;
        let below = (x, frame::BOTTOM + 18);
        write(canvas, words, below, 15, INK, HPos::Center)?;
    }
    for value in &frame.ticks {
        let y = frame.y(*value);
        stroke(canvas, vec![(frame::LEFT, y), (frame::RIGHT, y)], FAINT, 1)?;
        let beside = (frame::LEFT - 10, y);
        write(canvas, &value.to_string(), beside, 15, INK, HPos::Right)?;
    }
    let outline = [
        (frame::LEFT, frame::TOP),
        (frame::LEFT, frame::BOTTOM),
        (frame::RIGHT, frame::BOTTOM),
    ];
    stroke(canvas, outline.to_vec(), QUIET, 1)?;
    let below = ((frame::LEFT + frame::RIGHT) / 2, frame::BOTTOM + 62);
    write(canvas, &chart.across, below, 16, INK, HPos::Center)?;
    let above = (20, frame::TOP - 16);
    write(canvas, &chart.upright, above, 16, INK, HPos::Left)
}

/// What would be best.
fn ideal(canvas: &Canvas<'_>, frame: &Frame, chart: &Chart) -> Drawn {
    let Some(ideal) = &chart.ideal else {
        return Ok(());
    };
    let points: Vec<Pixel> = ideal.points.iter().map(|(x, y)| frame.at(*x, *y)).collect();
    let Some(end) = points.last().copied() else {
        return Ok(());
    };
    dashes(canvas, points, QUIET, (2, 7))?;
    let above = (end.0, end.1 - 14);
    write(canvas, &ideal.name, above, 14, QUIET, HPos::Right)
}

/// A line, with a mark and a bar from least to most at each point, and its model.
fn draw(canvas: &Canvas<'_>, frame: &Frame, line: &Line, i: usize) -> Drawn {
    let colour = line.colour(i);
    let width = if line.ours { 4 } else { 2 };
    let middle = |(x, y): &(f64, Summary)| frame.at(*x, y.median);
    stroke(
        canvas,
        line.points.iter().map(middle).collect(),
        colour,
        width,
    )?;
    let fit = line.fit.iter().map(|(x, y)| frame.at(*x, *y)).collect();
    dashes(canvas, fit, INK, (1, 3))?;
    for (x, y) in &line.points {
        let bar = vec![frame.at(*x, y.min), frame.at(*x, y.max)];
        stroke(canvas, bar, colour, 2)?;
        mark(canvas, frame.at(*x, y.median), i, colour)?;
    }
    Ok(())
}

/// Each line's name and note beside its end, none over another.
fn names(canvas: &Canvas<'_>, frame: &Frame, chart: &Chart) -> Drawn {
    let end = |(i, line): (usize, &Line)| {
        let (x, y) = line.points.last()?;
        let end = frame.at(*x, y.median);
        Some(Label {
            line: i,
            end,
            y: end.1,
        })
    };
    let mut labels: Vec<Label> = chart.lines.iter().enumerate().filter_map(end).collect();
    spread(&mut labels, LABEL_PITCH, frame::TOP, frame::BOTTOM);
    for label in labels {
        let line = &chart.lines[label.line];
        let colour = line.colour(label.line);
        let x = frame::RIGHT + LABEL_GAP;
        let lead = vec![
            (label.end.0 + 9, label.end.1),
            (frame::RIGHT + 6, label.end.1),
            (x - 8, label.y),
        ];
        stroke(canvas, lead, colour, 1)?;
        write(canvas, &line.name, (x, label.y - 8), 17, INK, HPos::Left)?;
        write(canvas, &line.note, (x, label.y + 10), 13, QUIET, HPos::Left)?;
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two lines over 1, 2 and 4.
    pub(crate) fn sample() -> Chart {
        let line = |name: &str, factor: f64| Line {
            name: name.into(),
            note: format!("note of {name}"),
            ours: false,
            points: [1.0, 2.0, 4.0]
                .map(|x| {
                    let y = factor * x;
                    let (min, max) = (0.9 * y, 1.1 * y);
                    (
                        x,
                        Summary {
                            median: y,
                            min,
                            max,
                        },
                    )
                })
                .to_vec(),
            fit: vec![(1.0, factor), (2.0, 2.1 * factor)],
        };
        Chart {
            title: "A title".into(),
            how: vec!["how".into(), "machine <1 & only>".into()],
            warning: Some("was busy".into()),
            across: "threads".into(),
            upright: "rate".into(),
            ticks: [1.0, 2.0, 4.0].map(|x| (x, x.to_string())).to_vec(),
            lines: vec![line("one", 1.0), line("ten", 10.0)],
            ideal: Some(Ideal {
                name: "ideal".into(),
                points: vec![(1.0, 10.0), (4.0, 40.0)],
            }),
            shade: Some((2.0, "too many".into())),
        }
    }

    #[test]
    fn everything_that_is_written_is_in_the_picture() {
        let svg = render(&sample()).expect("drawn");
        for words in [
            "A title",
            "machine",
            "was busy",
            "threads",
            "rate",
            "one",
            "note of ten",
            "ideal",
            "too many",
        ] {
            assert!(svg.contains(words), "{words} is missing");
        }
    }

    #[test]
    fn it_is_drawn_with_the_letters_that_are_brought_along() {
        let svg = render(&sample()).expect("drawn");
        assert!(png(&svg).is_ok());
    }

    #[test]
    fn one_line_of_one_point_is_a_picture_too() {
        let mut chart = sample();
        chart.lines.truncate(1);
        chart.lines[0].points.truncate(1);
        chart.lines[0].fit.clear();
        (chart.ideal, chart.shade) = (None, None);
        assert!(render(&chart).is_ok());
    }
}
