//! The manual page and shell completions, made from the command line itself.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

/// Arguments of `uturn completions`.
#[derive(Args, Clone, Copy, Debug)]
pub(in crate::control) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// A manual page that is made from a command line: one page with every command, so that there is
/// one place to look.
#[derive(Clone, Copy, Debug)]
pub struct ManualPage<'a> {
    /// Number of the manual's section, and its name.
    pub section: (u8, &'a str),
    /// What the command line says nothing of: titles, and what each thing below them is.
    pub more: &'a [(&'a str, &'a [(&'a str, &'a str)])],
}

/// That of `uturn`.
pub(in crate::control) const UTURN: ManualPage<'_> =
    ManualPage { section: (8, "System administration"), more: &MORE };

const MORE: [(&str, &[(&str, &str)]); 5] = [
    (
        "ENVIRONMENT",
        &[
            (
                "UTURN_RELAY_PORTS, UTURN_LISTEN, …",
                "Every option, as UTURN_ and its name in capitals with _ for -. The values of a list \
                 are separated by spaces.",
            ),
            ("UTURN_SECRET, UTURN_USER", "Also who uturn check and uturn credentials are."),
            (
                "XDG_RUNTIME_DIR",
                "Where the control socket is of a server that cannot make /run/uturn.",
            ),
            ("NO_COLOR", "Not empty: nothing is coloured."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "/etc/uturn/uturn.toml",
                "The configuration that the unit is started with. uturn example-config prints one \
                 with every key.",
            ),
            ("/run/uturn/control", "The control socket."),
        ],
    ),
    (
        "SIGNALS",
        &[
            ("SIGHUP", "Reads the configuration again."),
            ("SIGUSR1", "Drains: no new clients, and the end when the last one has gone."),
            ("SIGTERM, SIGINT", "End the server; a second one ends it at once."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "Done, or ended as asked."),
            (
                "1",
                "The server failed; what was asked of a running server could not be done; check \
                 found something that does not work; doctor found errors or warnings.",
            ),
            ("2", "The command line or the configuration is wrong."),
        ],
    ),
    ("SEE ALSO", &[("/usr/share/doc/uturn", "README.md, and docs/ and tuning/ beside it.")]),
];

impl ManualPage<'_> {
    /// Writes the page of a command line, in roff.
    ///
    /// # Errors
    /// The writer's own.
    pub fn write(&self, mut command: Command, out: &mut dyn Write) -> io::Result<()> {
        command.build();
        let is_shown = |command: &&Command| command.get_name() != "help" && !command.is_hide_set();
        let commands: Vec<&Command> = command.get_subcommands().filter(is_shown).collect();
        let program = command.get_name();
        let mut text = Vec::new();
        let (title_name, version) = (program.to_uppercase(), command.render_version());
        let (number, manual) = self.section;
        writeln!(text, ".TH {title_name} {number} \"\" \"{}\" \"{manual}\"", version.trim())?;
        let man = Man::new(command.clone());
        man.render_name_section(&mut text)?;
        synopsis(&command, &mut text)?;
        man.render_description_section(&mut text)?;
        title("COMMANDS", &mut text)?;
        for command in &commands {
            item(command.get_name(), &sentence(command), &mut text)?;
        }
        man.render_options_section(&mut text)?;
        for command in commands {
            subcommand(program, command, &mut text)?;
        }
        title("EXAMPLES", &mut text)?;
        examples(&command, &mut text)?;
        for (name, items) in self.more {
            title(name, &mut text)?;
            items.iter().try_for_each(|(what, words)| item(what, words, &mut text))?;
        }
        out.write_all(tidied(&String::from_utf8_lossy(&text)).as_bytes())
    }
}

fn synopsis(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    title("SYNOPSIS", out)?;
    let program = command.get_name();
    if !command.is_subcommand_required_set() {
        let server =
            [bold(program), roman(" [--config "), italic("FILE"), roman("] ["), italic("OPTIONS")];
        line(&[&server[..], &[roman("]")]].concat(), out)?;
        Roff::new().control("br", []).to_writer(out)?;
    }
    let program = bold(format!("{program} "));
    line(&[program, italic("COMMAND"), roman(" ["), italic("OPTIONS"), roman("]")], out)
}

/// A command with its own options; the headings that group them in its help are sections there,
/// and below its title here.
fn subcommand(program: &str, command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    title(&format!("{program} {}", command.get_name()).to_uppercase(), out)?;
    line(&[roman(sentence(command))], out)?;
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    for paragraph in long.split("\n\n").skip(1) {
        Roff::new().control("PP", []).to_writer(out)?;
        line(&[roman(paragraph.replace('\n', " "))], out)?;
    }
    let man = Man::new(command.clone().disable_help_flag(true));
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    for line in String::from_utf8_lossy(&options).lines() {
        match line.strip_prefix(".SH ") {
            // The title of the section has been written already.
            Some("OPTIONS") => {}
            Some(heading) => writeln!(out, ".SS {heading}")?,
            None => writeln!(out, "{line}")?,
        }
    }
    examples(command, out)
}

/// What a command does, in a sentence.
fn sentence(command: &Command) -> String {
    format!("{}.", command.get_about().map(ToString::to_string).unwrap_or_default())
}

/// The examples under a command's help, as they stand there.
fn examples(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let Some(examples) = command.get_after_long_help() else { return Ok(()) };
    Roff::new().control("PP", []).control("nf", []).to_writer(out)?;
    for example in examples.to_string().lines().filter(|line| *line != "Examples:") {
        line(&[roman(example.strip_prefix("  ").unwrap_or(example))], out)?;
    }
    Roff::new().control("fi", []).to_writer(out)
}

fn title(name: &str, out: &mut Vec<u8>) -> io::Result<()> {
    Roff::new().control("SH", [name]).to_writer(out)
}

fn item(name: &str, words: &str, out: &mut Vec<u8>) -> io::Result<()> {
    Roff::new().control("TP", []).to_writer(out)?;
    line(&[bold(name)], out)?;
    line(&[roman(words)], out)
}

fn line(inlines: &[Inline], out: &mut Vec<u8>) -> io::Result<()> {
    Roff::new().text(inlines).to_writer(out)
}

/// The page with what every piece begins with once alone, and without what `mandoc -T lint` minds:
/// breaks around blank lines, and a paragraph behind a title.
fn tidied(text: &str) -> String {
    let is_apostrophe = |line: &&str| line.starts_with(".ie ") || line.starts_with(".el ");
    let apostrophe: Vec<&str> = text.lines().filter(is_apostrophe).take(2).collect();
    let mut lines = apostrophe;
    for line in text.lines().filter(|line| !is_apostrophe(line)) {
        let is_title = |line: &&str| line.starts_with(".SH") || line.starts_with(".SS");
        let is_first = lines.last().is_some_and(is_title);
        if line != ".PP" || !is_first {
            lines.push(line);
        }
    }
    (lines.join("\n") + "\n").replace("\n.br\n\n.br\n", "\n.sp\n")
}

/// Writes what a shell needs to complete our command line.
pub(in crate::control) fn completions(
    args: CompletionsArgs,
    mut command: Command,
    out: &mut dyn Write,
) {
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, out);
}
