//! The manual page, made from the command line itself: one page with every command, so that there
//! is one place to look.

use std::io::{self, Write};

use clap::{Command, CommandFactory};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use crate::{command::args::Cli, fault::Fault, report::output};

const EXIT_STATUS: &str = "0: the limits held. 1: one did not, or the server ended. 2: there is no \
                           result. 130: somebody asked to stop; what was measured until then is \
                           reported all the same.";
const SEE_ALSO: &str = "uturn(8), and /usr/share/doc/uturn/docs/capacity.md.";

/// Prints the page, in roff.
///
/// # Errors
/// Standard output takes nothing more.
pub(crate) fn print() -> Result<(), Fault> {
    let mut out = Vec::new();
    page(Cli::command(), &mut out).map_err(|error| Fault::io("make the page", error))?;
    output::say(&String::from_utf8_lossy(&out))
}

fn page(command: Command, out: &mut dyn Write) -> io::Result<()> {
    let commands: Vec<Command> = command.get_subcommands().cloned().collect();
    let man = Man::new(command).section("1").manual("User commands");
    man.render_title(out)?;
    man.render_name_section(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    for command in commands.iter().filter(|command| !command.is_hide_set()) {
        subcommand(command, out)?;
    }
    section("EXIT STATUS", EXIT_STATUS, out)?;
    section("SEE ALSO", SEE_ALSO, out)
}

/// A command with its own options; the headings that group them in its help are sections there,
/// and paragraphs here.
fn subcommand(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    section(&format!("loadgen {}", command.get_name()).to_uppercase(), &format!("{about}."), out)?;
    let mut options = Vec::new();
    Man::new(command.clone().disable_help_flag(true)).render_options_section(&mut options)?;
    for line in String::from_utf8_lossy(&options).lines() {
        match line.strip_prefix(".SH ") {
            Some("OPTIONS") => {}
            Some(heading) => writeln!(out, ".SS {heading}")?,
            None => writeln!(out, "{line}")?,
        }
    }
    Ok(())
}

fn section(title: &str, paragraph: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [title]).text([roman(paragraph)]);
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::page;
    use crate::command::args::Cli;

    #[test]
    fn the_page_has_every_command_and_every_option() {
        let mut roff = Vec::new();
        page(Cli::command(), &mut roff).unwrap();
        let text = String::from_utf8(roff).unwrap().replace("\\-", "-");
        for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            let title = format!(".SH \"LOADGEN {}\"", command.get_name().to_uppercase());
            assert_eq!(text.matches(&title).count(), 1, "{title}");
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(text.contains(&format!("--{option}")), "{title}: --{option}");
            }
        }
        assert!(text.contains("130: somebody asked to stop"));
    }
}
