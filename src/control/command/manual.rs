//! The manual page and shell completions, made from the command line itself.

use std::io;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Arguments of `uturn completions`.
#[derive(Args, Clone, Copy, Debug)]
pub(in crate::control) struct CompletionsArgs {
    /// Shell to complete for
    shell: Shell,
}

/// Sections that the command line says nothing of: titles and their paragraphs.
const SECTIONS: [(&str, &[&str]); 4] = [
    (
        "FILES",
        &[
            "/etc/uturn/uturn.toml: the configuration that the unit is started with. uturn \
             example-config prints one with every key.",
            "/run/uturn/control: the control socket of the unit.",
        ],
    ),
    (
        "SIGNALS",
        &[
            "SIGHUP reads the configuration again. SIGUSR1 drains: no new clients, and the end when \
             the last one has gone. SIGTERM and SIGINT end the server; a second one ends it at once.",
        ],
    ),
    (
        "EXIT STATUS",
        &["0: done, or ended as asked. 1: the server failed, or the doctor found errors or \
             warnings. 2: the command line or the configuration is wrong."],
    ),
    ("SEE ALSO", &["/usr/share/doc/uturn/README.md, and docs/ and tuning/ beside it."]),
];

/// Writes the manual page, in roff.
///
/// # Errors
/// The writer's own.
pub(in crate::control) fn page(command: Command, out: &mut dyn io::Write) -> io::Result<()> {
    let commands: Vec<Command> = command.get_subcommands().cloned().collect();
    let man = Man::new(command).section("8").manual("System administration");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    for command in commands.iter().filter(|command| !command.is_hide_set()) {
        subcommand(command, out)?;
    }
    SECTIONS.iter().try_for_each(|(title, paragraphs)| section(title, paragraphs, out))
}

/// A command with its own options; the page has all of them, so that there is one place to look.
fn subcommand(command: &Command, out: &mut dyn io::Write) -> io::Result<()> {
    let name = format!("uturn {}", command.get_name());
    let man = Man::new(command.clone().disable_help_flag(true));
    let mut roff = Roff::default();
    roff.control("SH", [name.to_uppercase().as_str()]);
    roff.to_writer(out)?;
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    Roff::default().text([roman(format!("{about}."))]).to_writer(out)?;
    let mut options = Vec::new();
    man.render_options_section(&mut options)?;
    // The title of the section has been written already.
    let options = String::from_utf8_lossy(&options);
    let own = options.lines().filter(|line| !line.starts_with(".SH") && !line.starts_with(".ie"));
    own.filter(|line| !line.starts_with(".el")).try_for_each(|line| writeln!(out, "{line}"))
}

fn section(title: &str, paragraphs: &[&str], out: &mut dyn io::Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [title]);
    for paragraph in paragraphs {
        roff.control("PP", []).text([roman(*paragraph)]);
    }
    roff.to_writer(out)
}

/// Writes what a shell needs to complete our command line.
pub(in crate::control) fn completions(
    args: CompletionsArgs,
    mut command: Command,
    out: &mut dyn io::Write,
) {
    let name = command.get_name().to_owned();
    clap_complete::generate(args.shell, &mut command, name, out);
}
