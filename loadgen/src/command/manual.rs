//! The manual page, made from the command line itself.

use clap::CommandFactory;
use uturn::control::ManualPage;

use crate::{command::args::Cli, fault::Fault, report::output};

const PAGE: ManualPage<'_> = ManualPage {
    section: (1, "User commands"),
    more: &[
        (
            "EXIT STATUS",
            &[
                ("0", "The limits held."),
                ("1", "One did not, or the server ended."),
                ("2", "There is no result."),
                (
                    "130",
                    "Somebody asked to stop; what was measured until then is reported all the same.",
                ),
            ],
        ),
        (
            "ENVIRONMENT",
            &[(
                "UTURN_USER, UTURN_SECRET",
                "NAME:PASSWORD and a shared secret, where the command line names neither: it can \
                 be read by everybody on the machine.",
            )],
        ),
        (
            "SEE ALSO",
            &[
                ("uturn(8)", "The server."),
                ("/usr/share/doc/uturn/docs/capacity.md", "From a sweep to an order of machines."),
            ],
        ),
    ],
};

/// Prints the page, in roff.
///
/// # Errors
/// Standard output takes nothing more.
pub(crate) fn print() -> Result<(), Fault> {
    output::say(&page()?)
}

fn page() -> Result<String, Fault> {
    let mut page = Vec::new();
    let written = PAGE.write(Cli::command(), &mut page);
    written.map_err(|error| Fault::io("make the page", error))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::page;
    use crate::command::args::Cli;

    #[test]
    fn the_page_has_every_command_and_every_option() {
        let text = page().unwrap().replace("\\-", "-");
        for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
            let title = format!(".SH \"LOADGEN {}\"", command.get_name().to_uppercase());
            assert_eq!(text.matches(&title).count(), 1, "{title}");
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(text.contains(&format!("--{option}")), "{title}: --{option}");
            }
        }
        for said in ["Somebody asked to stop", "loadgen plan --from sweep.json"] {
            assert!(text.contains(said), "{said}");
        }
    }
}
