//! One self-contained page: no script, no font, no picture from elsewhere.

use crate::report::{
    page::{escape::escape, plot::Plot},
    table::Table,
};
use crate::result::about::About;

const STYLE: &str = include_str!("page.css");

/// What is shown large: a label and its value each.
pub(crate) type Figures = Vec<(String, String)>;

/// A page as it grows.
pub(crate) struct Page<'a> {
    title: &'a str,
    about: &'a About,
    body: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(title: &'a str, about: &'a About) -> Page<'a> {
        Page { title, about, body: String::new() }
    }

    pub(crate) fn cards(&mut self, figures: &Figures) {
        let card = |(label, value): &(String, String)| {
            format!("<div><b>{}</b><span>{}</span></div>", escape(value), escape(label))
        };
        let cards: String = figures.iter().map(card).collect();
        self.body += &format!("<section class=\"cards\">{cards}</section>\n");
    }

    /// Lines that stand out: `held`, `warn` or `bad`.
    pub(crate) fn notes(&mut self, lines: &[String], class: &str) {
        let note = |line: &String| format!("<p class=\"{class}\">{}</p>\n", escape(line));
        self.body += &lines.iter().map(note).collect::<String>();
    }

    /// A plot with its legend, unless there is nothing to draw.
    pub(crate) fn figure(&mut self, title: &str, plot: &Plot<'_>) {
        let svg = plot.svg();
        if !svg.is_empty() {
            let (title, legend) = (escape(title), plot.legend());
            self.body += &format!(
                "<figure><figcaption><b>{title}</b>{legend}</figcaption><div>{svg}</div></figure>\n"
            );
        }
    }

    pub(crate) fn table(&mut self, table: &Table) {
        self.body += &table.html();
    }

    /// What explains what stands above it.
    pub(crate) fn aside(&mut self, text: &str) {
        self.body += &format!("<p class=\"note\">{}</p>\n", escape(text));
    }

    pub(crate) fn html(&self) -> String {
        let title = escape(self.title);
        let about = self.about_list();
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{about}\
             {}<footer>Open loop: latency counts from when a packet was due. Loss, order and \
             content are checked for every packet.</footer>\n</main>\n</html>\n",
            self.body
        )
    }

    fn about_list(&self) -> String {
        let About { loadgen, command, date, machine, .. } = self.about;
        let server = self.about.server();
        let version = format!("loadgen {loadgen}");
        let rows = [
            ("server", server.as_ref()),
            ("date", Some(date)),
            ("command", Some(command)),
            ("generator", Some(machine)),
            ("version", Some(&version)),
        ];
        let row = |(name, value): (&str, Option<&String>)| {
            value.map(|value| format!("<dt>{name}</dt><dd>{}</dd>", escape(value)))
        };
        format!("<dl>{}</dl>\n", rows.into_iter().filter_map(row).collect::<String>())
    }
}
