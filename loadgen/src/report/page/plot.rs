//! Plots as SVG that takes its colours from the page around it, or from the palette it brings
//! along.
//!
//! ```text
//!  y title
//!  │ tick ┼─────────────────────────
//!  │      │      lines and marks
//!  │ tick ┼─────────────────────────
//!         tick        tick        tick
//!                                x title
//! ```

use std::fmt::Write;

use super::{
    escape::escape,
    scale::{Kind, Scale},
};
use crate::report::number::tick_short;

const WIDTH: f64 = 760.0;

/// Height of a plot alone, and of one among others.
const HEIGHT: f64 = 320.0;
const PANEL_HEIGHT: f64 = 220.0;

/// What is left free around the lines: labels to the left and below, titles above and below, half
/// of the last label to the right.
const LEFT: f64 = 76.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 42.0;

/// Height of a line of a picture's legend, and the width of a character in it, about.
const LEGEND_HEIGHT: f64 = 22.0;
const CHARACTER_WIDTH: f64 = 7.5;

/// Colours; beyond the last they begin anew.
const COLOURS: usize = 6;

/// The page's rules for a picture that has no page around it, in plain colours: not everything that
/// shows pictures knows variables.
const RULES: &str = "text{font:13px system-ui,sans-serif;fill:#5c6470;white-space:pre}\
    .p,.r{fill:#fff}\
    .g{stroke:#dfe3e8}.l{fill:none}.l,.r{stroke-width:2;stroke-linejoin:round}\
    .s1{stroke:#2563c9}.s2{stroke:#d9730d}.s3{stroke:#14866d}.s4{stroke:#a83279}\
    .s5{stroke:#7c6a0a}.s6{stroke:#6f4fd8}\
    .f1{fill:#2563c9}.f2{fill:#d9730d}.f3{fill:#14866d}.f4{fill:#a83279}\
    .f5{fill:#7c6a0a}.f6{fill:#6f4fd8}\
    @media(prefers-color-scheme:dark){text{fill:#98a1ae}.p,.r{fill:#14171c}.g{stroke:#313843}\
    .s1{stroke:#6aa3ff}.s2{stroke:#ffa657}.s3{stroke:#4fd1b0}.s4{stroke:#ee8ac8}\
    .s5{stroke:#cdb94f}.s6{stroke:#b39dff}\
    .f1{fill:#6aa3ff}.f2{fill:#ffa657}.f3{fill:#4fd1b0}.f4{fill:#ee8ac8}\
    .f5{fill:#cdb94f}.f6{fill:#b39dff}}";

/// What stands at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    None,
    Dot,
    /// Something did not hold.
    Ring,
    /// Something says nothing.
    Cross,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    pub(crate) mark: Mark,
}

impl Point {
    /// A point of a line, without a mark.
    pub(crate) fn plain(x: f64, y: f64) -> Point {
        Point { x, y, mark: Mark::None }
    }
}

/// A named line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) colour: usize,
    pub(super) is_dashed: bool,
    pub(crate) points: Vec<Point>,
}

impl Series {
    pub(crate) fn new(name: &str, colour: usize, points: Vec<Point>) -> Series {
        Series { name: name.to_owned(), colour, is_dashed: false, points }
    }

    pub(crate) fn dashed(self) -> Series {
        Series { is_dashed: true, ..self }
    }

    /// The number of its colour in the rules.
    fn ink(&self) -> usize {
        self.colour % COLOURS + 1
    }
}

/// How a number on an axis is written.
pub(super) type Label = fn(f64) -> String;

/// What a plot shows.
#[derive(Debug, Clone)]
pub(crate) struct Plot<'a> {
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    pub(crate) x_label: Label,
    pub(crate) y_label: Label,
    pub(crate) x_kind: Kind,
    /// On a logarithmic axis what is not above 0 is not drawn.
    pub(crate) y_kind: Kind,
    pub(crate) series: Vec<Series>,
}

impl<'a> Plot<'a> {
    /// Something a second, against seconds.
    pub(crate) fn rate_over_time(
        (x_title, y_title): (&'a str, &'a str),
        series: Vec<Series>,
    ) -> Plot<'a> {
        Plot {
            x_title,
            y_title,
            x_label: |seconds| format!("{seconds}"),
            y_label: tick_short,
            x_kind: Kind::FromZero,
            y_kind: Kind::FromZero,
            series,
        }
    }
}

/// Where the plot lies in its picture, and what its axes are.
struct Frame {
    top: f64,
    height: f64,
    x: Scale,
    y: Scale,
    y_kind: Kind,
}

impl Frame {
    fn x(&self, value: f64) -> f64 {
        LEFT + (value - self.x.from) / (self.x.to - self.x.from) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        let part = match self.y_kind {
            Kind::FromZero => (value - self.y.from) / (self.y.to - self.y.from),
            Kind::Log => (value / self.y.from).ln() / (self.y.to / self.y.from).ln(),
        };
        self.bottom() - part * (self.bottom() - self.top())
    }

    fn top(&self) -> f64 {
        self.top + TOP
    }

    fn bottom(&self) -> f64 {
        self.top + self.height - BOTTOM
    }
}

impl Plot<'_> {
    fn points(&self) -> impl Iterator<Item = &Point> + Clone {
        let log = self.y_kind == Kind::Log;
        let points = self.series.iter().flat_map(|series| &series.points);
        points.filter(move |point| !log || point.y > 0.0)
    }

    /// The plot as an `<svg>` element, or nothing when there is nothing to draw.
    pub(super) fn svg(&self) -> String {
        let drawn = self.draw(0.0, HEIGHT);
        if drawn.is_empty() { drawn } else { svg(HEIGHT, &drawn) }
    }

    fn draw(&self, top: f64, height: f64) -> String {
        let x = Scale::of(self.x_kind, self.points().map(|point| point.x));
        let y = Scale::of(self.y_kind, self.points().map(|point| point.y));
        let Some((x, y)) = x.zip(y) else { return String::new() };
        let frame = Frame { top, height, x, y, y_kind: self.y_kind };
        let mut drawn = self.axes(&frame);
        self.series.iter().for_each(|series| drawn += &self.line(&frame, series));
        drawn
    }

    fn axes(&self, frame: &Frame) -> String {
        let mut drawn = String::new();
        let (left, right) = (LEFT, WIDTH - RIGHT);
        for tick in &frame.y.ticks {
            let y = frame.y(*tick);
            drawn += &format!("<path class=\"g\" d=\"M{left} {y:.1}H{right}\"/>");
            drawn += &label(left - 8.0, y + 4.0, "end", &(self.y_label)(*tick));
        }
        let (top, bottom) = (frame.top(), frame.bottom());
        for tick in &frame.x.ticks {
            let x = frame.x(*tick);
            drawn += &format!("<path class=\"g\" d=\"M{x:.1} {top}V{bottom}\"/>");
            let tick = label(x, bottom + 17.0, "middle", &(self.x_label)(*tick));
            drawn += &format!("<g class=\"x\">{tick}</g>");
        }
        drawn += &label(left, frame.top + 15.0, "start", self.y_title);
        let title = label(right, bottom + 35.0, "end", self.x_title);
        drawn += &format!("<g class=\"t\">{title}</g>");
        drawn + "\n"
    }

    fn line(&self, frame: &Frame, series: &Series) -> String {
        let log = self.y_kind == Kind::Log;
        let points = series.points.iter().filter(|point| !log || point.y > 0.0);
        let places: Vec<_> =
            points.map(|point| (frame.x(point.x), frame.y(point.y), point.mark)).collect();
        if places.is_empty() {
            return String::new();
        }
        let mut path = String::new();
        for (at, (x, y, _)) in places.iter().enumerate() {
            // Writing into a string cannot fail.
            let _ = write!(path, "{}{x:.1} {y:.1}", if at == 0 { 'M' } else { 'L' });
        }
        let (ink, name) = (series.ink(), escape(&series.name));
        let dashes = if series.is_dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        // A line of one point is none.
        let lone = if places.len() == 1 { Mark::Dot } else { Mark::None };
        let marks = places.iter().map(|(x, y, mark)| match mark {
            Mark::None => mark_at(*x, *y, lone, ink),
            mark => mark_at(*x, *y, *mark, ink),
        });
        format!(
            "<path class=\"l s{ink}\"{dashes} d=\"{path}\"><title>{name}</title></path>{}\n",
            marks.collect::<String>()
        )
    }

    /// The names of the series with their colours, as HTML.
    pub(super) fn legend(&self) -> String {
        let item = |series: &Series| {
            let dashed = if series.is_dashed { " dashed" } else { "" };
            let (ink, name) = (series.ink(), escape(&series.name));
            format!("<span class=\"key k{ink}{dashed}\">{name}</span>")
        };
        self.series.iter().filter(|series| !series.points.is_empty()).map(item).collect()
    }
}

fn mark_at(x: f64, y: f64, mark: Mark, ink: usize) -> String {
    match mark {
        Mark::None => String::new(),
        Mark::Dot => format!("<circle class=\"f{ink}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>"),
        Mark::Ring => format!("<circle class=\"r s{ink}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"),
        Mark::Cross => {
            let (x, y) = (x - 4.5, y - 4.5);
            format!("<path class=\"l s{ink}\" d=\"M{x:.1} {y:.1}l9 9m0 -9l-9 9\"/>")
        }
    }
}

fn label(x: f64, y: f64, anchor: &str, text: &str) -> String {
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text))
}

/// Some plots below each other as a file of its own: the names and colours of all their series
/// above, a line about the marks below.
pub(crate) fn picture(plots: &[Plot<'_>], foot: &str) -> String {
    let (mut drawn, mut top) = legend(&names(plots));
    let height = if plots.len() > 1 { PANEL_HEIGHT } else { HEIGHT };
    for plot in plots {
        let panel = plot.draw(top, height);
        top += if panel.is_empty() { 0.0 } else { height };
        drawn += &panel;
    }
    if !foot.is_empty() {
        drawn += &label(LEFT, top + 14.0, "start", foot);
        top += LEGEND_HEIGHT;
    }
    let paper = format!("<rect class=\"p\" width=\"{WIDTH}\" height=\"{top}\"/>");
    svg(top, &format!("<style>{RULES}</style>\n{paper}{drawn}"))
}

/// The series that are drawn, each once: one that has no latency may yet have a loss.
fn names<'a>(plots: &'a [Plot<'_>]) -> Vec<&'a Series> {
    let mut names: Vec<&Series> = Vec::new();
    let drawn = plots.iter().flat_map(|plot| &plot.series);
    for series in drawn.filter(|series| !series.points.is_empty()) {
        let is_same =
            |known: &&Series| (&known.name, known.colour) == (&series.name, series.colour);
        if !names.iter().any(is_same) {
            names.push(series);
        }
    }
    names.sort_by_key(|series| series.colour);
    names
}

/// The names of lines with their colours, and the height that they take.
fn legend(series: &[&Series]) -> (String, f64) {
    let (mut x, mut y) = (LEFT, LEGEND_HEIGHT);
    let mut drawn = String::new();
    for series in series {
        let width = 24.0 + series.name.chars().count() as f64 * CHARACTER_WIDTH + 24.0;
        if x > LEFT && x + width > WIDTH {
            (x, y) = (LEFT, y + LEGEND_HEIGHT);
        }
        let dashes = if series.is_dashed { " stroke-dasharray=\"5 4\"" } else { "" };
        let (ink, line_y) = (series.ink(), y - 4.0);
        drawn += &format!("<path class=\"l s{ink}\"{dashes} d=\"M{x} {line_y}h16\"/>");
        drawn += &label(x + 24.0, y, "start", &series.name);
        x += width;
    }
    (drawn + "\n", y + 6.0)
}

fn svg(height: f64, drawn: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         role=\"img\">\n{drawn}</svg>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(y_kind: Kind, series: Vec<Series>) -> Plot<'static> {
        Plot {
            x_title: "time",
            y_title: "packets/s",
            x_label: |x| format!("{x}"),
            y_label: |y| format!("{y}"),
            x_kind: Kind::FromZero,
            y_kind,
            series,
        }
    }

    fn line(name: &str, values: &[f64]) -> Series {
        let points = (0..).zip(values).map(|(x, y)| Point::plain(f64::from(x), *y));
        Series::new(name, 0, points.collect())
    }

    /// Places of the labels on one side: x, y and anchor.
    fn labels(svg: &str, anchor: &str) -> Vec<(f64, f64, String)> {
        let texts = svg.split("<text x=\"").skip(1);
        let parts = texts.map(|text| text.split(['"', '<', '>']).collect::<Vec<_>>());
        let wanted = parts.filter(|parts| parts[4] == anchor);
        let number = |text: &str| text.parse().unwrap();
        wanted.map(|parts| (number(parts[0]), number(parts[2]), parts[6].to_owned())).collect()
    }

    #[test]
    fn colours_are_the_pages_own() {
        for y_kind in [Kind::FromZero, Kind::Log] {
            let plot = plot(y_kind, vec![line("a", &[1.0, 10.0, 100.0])]);
            assert!(plot.svg().contains("\"l s1\"") && !plot.svg().contains('#'));
            let picture = picture(&[plot], "");
            assert!(picture.contains(".s1{stroke:#") && picture.contains("prefers-color-scheme"));
            assert!(!picture.contains("var("), "not everything that shows pictures knows these");
        }
    }

    #[test]
    fn no_label_overlaps_another_or_the_edge() {
        for (y_kind, most) in [(Kind::FromZero, 4e6), (Kind::Log, 4e6), (Kind::Log, 30.0)] {
            let svg = plot(y_kind, vec![line("a", &[10.0, 11.0, most])]).svg();
            let ys: Vec<f64> = labels(&svg, "end").iter().map(|(_, y, _)| *y).collect();
            let apart = ys.iter().zip(&ys[1..]).all(|(a, b)| (a - b).abs() >= 15.0);
            assert!(apart && ys.iter().all(|y| (13.0..=HEIGHT).contains(y)), "{ys:?}");
            for (x, _, text) in labels(&svg, "middle") {
                let half = text.len() as f64 * CHARACTER_WIDTH / 2.0;
                assert!(x - half >= 0.0 && x + half <= WIDTH, "{text} at {x}");
            }
        }
    }

    #[test]
    fn a_legend_stands_above_the_lines() {
        let many: Vec<Series> =
            (0..9).map(|at| line(&format!("a long name of a server {at}"), &[1.0, 2.0])).collect();
        let svg =
            picture(&[plot(Kind::FromZero, many.clone()), plot(Kind::FromZero, many)], "foot");
        let names = labels(&svg, "start");
        let names: Vec<_> = names.iter().filter(|(.., text)| text.starts_with("a long")).collect();
        assert_eq!(names.len(), 9);
        let lowest_name = names.iter().map(|(_, y, _)| *y).fold(0.0, f64::max);
        let (_, first_axis, _) = labels(&svg, "end")[0].clone();
        let highest_tick =
            labels(&svg, "end").iter().map(|(_, y, _)| *y).fold(first_axis, f64::min);
        assert!(lowest_name + 10.0 < highest_tick, "{lowest_name} {highest_tick}");
        assert!(names.iter().all(|(x, _, name)| x + name.len() as f64 * CHARACTER_WIDTH <= WIDTH));
    }

    /// What the documentation shows is redrawn when pictures look otherwise.
    #[test]
    fn pictures_of_the_documentation_look_as_pictures_do() {
        for name in ["sweep", "overload"] {
            let path = format!("../benches/figures/{name}.svg");
            let picture = std::fs::read_to_string(path).unwrap();
            assert!(picture.contains(RULES), "{name}");
        }
    }

    #[test]
    fn a_single_point_is_seen() {
        let svg = plot(Kind::FromZero, vec![line("a", &[3.0])]).svg();
        assert_eq!(svg.matches("<circle class=\"f1\"").count(), 1, "{svg}");
        let svg = plot(Kind::FromZero, vec![line("a", &[3.0, 4.0])]).svg();
        assert!(!svg.contains("<circle"), "{svg}");
    }

    #[test]
    fn the_legend_names_what_any_of_the_plots_shows() {
        let latency = plot(Kind::Log, vec![line("a", &[1.0]), line("b", &[])]);
        let loss = plot(Kind::FromZero, vec![line("a", &[0.0]), line("b", &[100.0])]);
        let picture = picture(&[latency, loss], "");
        for name in ["a", "b"] {
            assert_eq!(picture.matches(&format!(">{name}</text>")).count(), 1, "{name}");
        }
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(plot(Kind::Log, Vec::new()).svg(), "");
        assert_eq!(plot(Kind::Log, vec![line("a", &[0.0, 0.0])]).svg(), "");
    }
}
