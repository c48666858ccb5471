//! What pages and pictures are made of.
//!
//! ```text
//! html.rs    one self-contained page, with page.css inside
//! plot.rs    plots, as SVG
//! scale.rs   where an axis begins and ends, and where its ticks are
//! escape.rs  text inside of markup
//! ```

pub(super) mod escape;
pub(super) mod html;
pub(super) mod plot;
pub(super) mod scale;
