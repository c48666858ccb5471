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

/// Sections that the command line says nothing of: titles, and what each thing in them is.
const SECTIONS: [(&str, &[(&str, &str)]); 5] = [
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

/// Writes the manual page, in roff.
///
/// # Errors
/// The writer's own.
pub(in crate::control) fn page(mut command: Command, out: &mut dyn Write) -> io::Result<()> {
    command.build();
    let commands: Vec<&Command> =
        command.get_subcommands().filter(|command| command.get_name() != "help").collect();
    let mut text = Vec::new();
    let version = command.render_version();
    writeln!(text, ".TH UTURN 8 \"\" \"{}\" \"System administration\"", version.trim())?;
    let man = Man::new(command.clone());
    man.render_name_section(&mut text)?;
    synopsis(&mut text)?;
    man.render_description_section(&mut text)?;
    title("COMMANDS", &mut text)?;
    for command in &commands {
        item(command.get_name(), &sentence(command), &mut text)?;
    }
    man.render_options_section(&mut text)?;
    for command in commands {
        subcommand(command, &mut text)?;
    }
    title("EXAMPLES", &mut text)?;
    examples(&command, &mut text)?;
    for (name, items) in SECTIONS {
        title(name, &mut text)?;
        items.iter().try_for_each(|(what, words)| item(what, words, &mut text))?;
    }
    out.write_all(tidied(&String::from_utf8_lossy(&text)).as_bytes())
}

fn synopsis(out: &mut Vec<u8>) -> io::Result<()> {
    title("SYNOPSIS", out)?;
    let server =
        [bold("uturn"), roman(" [--config "), italic("FILE"), roman("] ["), italic("OPTIONS")];
    line(&[&server[..], &[roman("]")]].concat(), out)?;
    Roff::new().control("br", []).to_writer(out)?;
    line(&[bold("uturn "), italic("COMMAND"), roman(" ["), italic("OPTIONS"), roman("]")], out)
}

/// A command with its own options; the page has all of them, so that there is one place to look.
fn subcommand(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    title(&format!("UTURN {}", command.get_name().to_uppercase()), out)?;
    line(&[roman(sentence(command))], out)?;
    let long = command.get_long_about().map(ToString::to_string).unwrap_or_default();
    for paragraph in long.split("\n\n").skip(1) {
        Roff::new().control("PP", []).to_writer(out)?;
        line(&[roman(paragraph.replace('\n', " "))], out)?;
    }
    let man = Man::new(command.clone().disable_help_flag(true));
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    // The title of the section has been written already.
    let options = String::from_utf8_lossy(&options);
    let own = options.lines().filter(|line| !line.starts_with(".SH"));
    own.for_each(|line| out.extend(format!("{line}\n").bytes()));
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
        let is_first = lines.last().is_some_and(|last| last.starts_with(".SH"));
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
