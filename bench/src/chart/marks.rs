//! The marks at the points of a line: a colour and a shape for each line.

use super::{Canvas, Drawn, Pixel, said};
use plotters::prelude::*;

/// Okabe and Ito's palette and a grey, in the order of the lines.
pub(super) const COLOURS: [RGBColor; 8] = [
    RGBColor(213, 94, 0),
    RGBColor(230, 159, 0),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(0, 0, 0),
    RGBColor(122, 122, 122),
    RGBColor(148, 103, 28),
];

/// The colour of our own line, wherever it is among the others.
pub(super) const OURS: RGBColor = RGBColor(0, 114, 178);

/// Half a mark's width.
const REACH: i32 = 6;

/// Draws line number `i`'s mark at a point.
pub(super) fn mark(canvas: &Canvas<'_>, (x, y): Pixel, i: usize, colour: RGBColor) -> Drawn {
    let filled = colour.filled();
    let polygon = |corners: &[(i32, i32)]| {
        let points: Vec<Pixel> = corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect();
        canvas.draw(&Polygon::new(points, filled)).map_err(said)
    };
    match i % 6 {
        0 => canvas
            .draw(&Circle::new((x, y), REACH, filled))
            .map_err(said),
        1 => polygon(&[
            (-REACH, -REACH),
            (REACH, -REACH),
            (REACH, REACH),
            (-REACH, REACH),
        ]),
        2 => polygon(&[(0, -REACH - 1), (REACH + 1, REACH), (-REACH - 1, REACH)]),
        3 => polygon(&[
            (0, -REACH - 2),
            (REACH + 2, 0),
            (0, REACH + 2),
            (-REACH - 2, 0),
        ]),
        4 => polygon(&[(0, REACH + 1), (REACH + 1, -REACH), (-REACH - 1, -REACH)]),
        // A plus.
        _ => polygon(&[
            (-2, -REACH - 2),
            (2, -REACH - 2),
            (2, -2),
            (REACH + 2, -2),
            (REACH + 2, 2),
            (2, 2),
            (2, REACH + 2),
            (-2, REACH + 2),
            (-2, 2),
            (-REACH - 2, 2),
            (-REACH - 2, -2),
            (-2, -2),
        ]),
    }
}
