//! Plots as SVG that takes its colours from the page around it.
//!
//! `plotters` knows fixed colours only: each role is drawn in one no design would use, which is then
//! replaced by the page's variable, so that one picture serves light and dark.

use plotters::{
    coord::{
        Shift,
        ranged1d::{Ranged, ValueFormatter},
    },
    prelude::{
        ChartBuilder, Circle, DrawingArea, IntoDrawingArea, IntoFont, IntoLogRange, LineSeries,
        RGBColor, SVGBackend, TextStyle,
    },
    style::{Color, ShapeStyle},
};

const SIZE: (u32, u32) = (760, 320);

const INK: RGBColor = RGBColor(1, 1, 1);
const GRID: RGBColor = RGBColor(2, 2, 2);

/// The colours of series, and the page's variables they stand for.
const SERIES: [RGBColor; 4] =
    [RGBColor(3, 3, 3), RGBColor(4, 4, 4), RGBColor(5, 5, 5), RGBColor(6, 6, 6)];
const VARIABLES: [(&str, &str); 6] = [
    ("#010101", "var(--muted)"),
    ("#020202", "var(--line)"),
    ("#030303", "var(--s1)"),
    ("#040404", "var(--s2)"),
    ("#050505", "var(--s3)"),
    ("#060606", "var(--s4)"),
];

/// The page's variables, for a picture that has no page around it.
const PALETTE: &str = ":root{--muted:#5c6470;--line:#dfe3e8;--s1:#2563c9;--s2:#d9730d;\
    --s3:#14866d;--s4:#a83279}@media(prefers-color-scheme:dark){:root{--muted:#98a1ae;\
    --line:#313843;--s1:#6aa3ff;--s2:#ffa657;--s3:#4fd1b0;--s4:#ee8ac8}}";

/// A named line.
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// How a number on an axis is written.
pub(super) type Label = fn(f64) -> String;

/// What a plot shows.
pub(super) struct Plot<'a> {
    pub(super) x_title: &'a str,
    pub(super) y_title: &'a str,
    pub(super) x_label: Label,
    pub(super) y_label: Label,
    /// Powers of ten at equal distances; zero cannot be shown then.
    pub(super) y_log: bool,
    /// Also a dot at each point.
    pub(super) dots: bool,
    pub(super) series: Vec<Series>,
}

impl Plot<'_> {
    /// The plot as an `<svg>` element, or nothing when there is nothing to draw.
    pub(super) fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points);
        if points().count() < 2 {
            return String::new();
        }
        let x_max = points().map(|point| point.0).fold(f64::MIN, f64::max);
        let x_min = points().map(|point| point.0).fold(f64::MAX, f64::min);
        let y_max = points().map(|point| point.1).fold(0.0, f64::max) * 1.08;
        // A line of zeros still needs a height to lie at the bottom of.
        let y_max = if y_max > 0.0 { y_max } else { 1.0 };
        let y_min = points().map(|point| point.1).filter(|y| *y > 0.0).fold(y_max, f64::min);
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
            let x = x_min..x_max.max(x_min + f64::EPSILON);
            if self.y_log {
                self.draw(&area, x, (y_min * 0.8..y_max).log_scale());
            } else {
                self.draw(&area, x, 0.0..y_max);
            }
        }
        VARIABLES.iter().fold(svg, |svg, (colour, variable)| svg.replace(colour, variable))
    }

    /// The plot as a file of its own, with a legend and colours for light and dark.
    pub(super) fn picture(&self) -> String {
        let names = self.series.iter().enumerate().map(|(at, series)| {
            let (y, colour) = (24 + 20 * at, at % SERIES.len() + 1);
            let name = super::escape::escape(&series.name);
            format!(
                "<rect x=\"96\" y=\"{}\" width=\"16\" height=\"3\" fill=\"var(--s{colour})\"/>\
                 <text x=\"120\" y=\"{y}\" font-family=\"sans-serif\" font-size=\"13\" \
                 fill=\"var(--muted)\">{name}</text>\n",
                y - 5
            )
        });
        let names: String = names.collect();
        let svg = self.svg().replacen('>', &format!("><style>{PALETTE}</style>"), 1);
        svg.replace("</svg>", &format!("{names}</svg>"))
    }

    fn draw<X, Y>(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, x: X, y: Y)
    where
        X: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
        Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
        X::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
        Y::CoordDescType: ValueFormatter<f64> + Ranged<ValueType = f64>,
    {
        // Drawing into a string cannot fail; what could not be drawn would be missing from it.
        let mut builder = ChartBuilder::on(area);
        builder.margin(8).set_label_area_size(plotters::prelude::LabelAreaPosition::Left, 72);
        builder.set_label_area_size(plotters::prelude::LabelAreaPosition::Bottom, 42);
        let Ok(mut chart) = builder.build_cartesian_2d(x, y) else { return };
        let text = || TextStyle::from(("sans-serif", 13).into_font()).color(&INK);
        let drawn = chart
            .configure_mesh()
            .light_line_style(RGBColor(2, 2, 2).mix(0.0))
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(text())
            .axis_desc_style(text())
            .x_desc(self.x_title)
            .y_desc(self.y_title)
            .x_label_formatter(&|value| (self.x_label)(*value))
            .y_label_formatter(&|value| (self.y_label)(*value))
            .draw();
        for (series, colour) in self.series.iter().zip(SERIES.iter().cycle()) {
            let style = ShapeStyle { color: colour.to_rgba(), filled: true, stroke_width: 2 };
            let _ = chart.draw_series(LineSeries::new(series.points.iter().copied(), style));
            let dots = series.points.iter().filter(|_| self.dots);
            let _ = chart.draw_series(dots.map(|point| Circle::new(*point, 3, style)));
        }
        let _ = drawn.and_then(|()| area.present());
    }

    /// The names of the series with their colours, as HTML.
    pub(super) fn legend(&self) -> String {
        let item = |(at, series): (usize, &Series)| {
            let name = super::escape::escape(&series.name);
            format!("<span class=\"key k{}\">{name}</span>", at % SERIES.len() + 1)
        };
        self.series.iter().enumerate().map(item).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_the_pages_own() {
        for y_log in [false, true] {
            let points = vec![(0.0, 1.0), (1.0, 10.0), (2.0, 100.0)];
            let plot = Plot {
                x_title: "time",
                y_title: "packets/s",
                x_label: |x| format!("{x}"),
                y_label: |y| format!("{y}"),
                y_log,
                dots: true,
                series: vec![Series { name: "a".to_owned(), points }],
            };
            let svg = plot.svg();
            assert!(svg.contains("var(--s1)") && svg.contains("var(--muted)"), "{svg}");
            assert!(!svg.contains("#0"), "{svg}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let plot = Plot {
            x_title: "",
            y_title: "",
            x_label: |_| String::new(),
            y_label: |_| String::new(),
            y_log: true,
            dots: false,
            series: Vec::new(),
        };
        assert_eq!(plot.svg(), "");
    }
}
