//! The plot as pixels: the SVG drawn by `resvg`, with letters that this program brings along, so that a
//! machine without fonts draws the same picture.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

/// Pixels a unit of the SVG: sharp on dense screens and in print.
const SCALE: f32 = 2.0;
/// The family's name inside the font that is brought along.
const FAMILY: &str = "Ubuntu";

/// `svg` as a PNG file's bytes.
///
/// # Errors
/// One line, if `svg` is none or too large to draw.
pub(crate) fn png(svg: &str) -> Result<Vec<u8>, String> {
    let mut options = Options {
        font_family: FAMILY.into(),
        ..Options::default()
    };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    fonts.set_sans_serif_family(FAMILY);
    let tree = Tree::from_str(svg, &options).map_err(|error| format!("not an SVG: {error}"))?;
    let size = tree
        .size()
        .to_int_size()
        .scale_by(SCALE)
        .ok_or("the plot has no size")?;
    let mut pixels =
        Pixmap::new(size.width(), size.height()).ok_or("the plot is too large to draw")?;
    resvg::render(
        &tree,
        Transform::from_scale(SCALE, SCALE),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20">"#;

    #[test]
    fn letters_are_drawn_without_any_font_of_the_machine() {
        let empty = png(&format!("{FRAME}</svg>")).expect("a picture");
        let text = r#"<text x="5" y="15" font-family="sans-serif">way</text>"#;
        let written = png(&format!("{FRAME}{text}</svg>")).expect("a picture");
        assert_eq!(&written[1..4], b"PNG");
        assert_ne!(empty, written);
    }

    #[test]
    fn what_is_no_svg_is_refused() {
        assert!(png("way,threads,mpps").is_err());
    }
}
