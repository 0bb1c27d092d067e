//! Places the names at the lines' ends, so that none covers another.

use super::Pixel;

/// A name beside the end of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Which of the chart's lines.
    pub(super) line: usize,
    /// Where the line ends.
    pub(super) end: Pixel,
    /// The row on which the name is written.
    pub(super) y: i32,
}

/// Moves labels apart to at least `pitch` and keeps them between `top` and `bottom` as far as there is
/// room, in the order of their lines' ends.
pub(super) fn spread(labels: &mut [Label], pitch: i32, top: i32, bottom: i32) {
    labels.sort_by_key(|label| label.end.1);
    let mut free = top;
    for label in labels.iter_mut() {
        label.y = label.y.max(free);
        free = label.y + pitch;
    }
    let mut free = bottom;
    for label in labels.iter_mut().rev() {
        label.y = label.y.min(free);
        free = label.y - pitch;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(ends: &[i32]) -> Vec<i32> {
        let label = |(line, y): (usize, &i32)| Label {
            line,
            end: (0, *y),
            y: *y,
        };
        let mut labels: Vec<Label> = ends.iter().enumerate().map(label).collect();
        spread(&mut labels, 10, 0, 100);
        labels.iter().map(|label| label.y).collect()
    }

    #[test]
    fn labels_with_room_stay_where_their_lines_end() {
        assert_eq!(rows(&[50, 20, 80]), [20, 50, 80]);
    }

    #[test]
    fn labels_that_would_touch_are_moved_apart() {
        assert_eq!(rows(&[50, 52, 53]), [50, 60, 70]);
    }

    #[test]
    fn labels_at_the_bottom_move_up() {
        assert_eq!(rows(&[99, 98, 97]), [80, 90, 100]);
    }
}
