//! The command line: what is asked for, and what is said when it cannot be done.
//!
//! Exit status: 0 done, 1 the server failed, a check did, or the
//! doctor found something of weight, 2 the command line or the configuration is wrong.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::error::{ContextKind, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use super::check::{self, CheckArgs};
use super::credentials::{self, CredentialsArgs};
use super::doctor::{self, DoctorArgs};
use super::import::{self, ImportArgs};
use super::manual::{self, CompletionsArgs};
use crate::control::config::{
    Config, ConfigError, Options, Origin, environment, example_file, variable_name,
};
use crate::control::server::start::{memory, wait};
use crate::control::tls;
use crate::control::{admin, escape};

/// The command line or the configuration is wrong.
const MISUSE: u8 = 2;

/// What stands under `-h`.
const MORE: &str = "\
`uturn --help` shows every option, with examples; `uturn example-config` explains each in a file.";

/// What stands under `--help`.
const EXAMPLES: &str = "\
Examples:
  uturn                                       serve, with a secret made for this run
  uturn --config /etc/uturn/uturn.toml        serve as the file says
  UTURN_SECRET=… uturn --external-ip 203.0.113.5
                                              behind 1:1 NAT, the secret from the environment
  uturn check --server turn.example.org --config /etc/uturn/uturn.toml
                                              try a server as a client would
  uturn credentials --config /etc/uturn/uturn.toml --host turn.example.org
                                              a login for a browser
  uturn doctor --config /etc/uturn/uturn.toml what this machine lacks
  uturn status, uturn top                     how the running server is
  uturn refusals --user alice                 why a client cannot connect
  uturn drain --deadline 3600                 take it out of service without ending a call";

/// A TURN/STUN relay for Linux, on io_uring.
///
/// Without a command it serves. Every option but --config can stand in the file, too, under the
/// same name, and in the environment as UTURN_ and its name in capitals (UTURN_RELAY_PORTS). The
/// command line wins, then the environment, then the file.
#[derive(Parser, Debug)]
#[command(name = "uturn", version, args_conflicts_with_subcommands = true)]
#[command(after_help = MORE, after_long_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// TOML file with options
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Checks a configuration file and prints the configuration that would hold here
    CheckConfig {
        /// TOML file with options
        file: PathBuf,
    },
    /// Tries a server as a client would: Binding, an allocation, packets both ways
    #[command(after_long_help = check::EXAMPLES)]
    Check(CheckArgs),
    /// Prints a time-limited login and the iceServers value for a browser
    ///
    /// A username, its password, and the value for a web page to use.
    #[command(after_long_help = credentials::EXAMPLES)]
    Credentials(CredentialsArgs),
    /// Translates a coturn configuration and names what could not be carried over
    ImportCoturn(ImportArgs),
    /// Inspects this machine as a relay node and says what to change
    Doctor(DoctorArgs),
    /// Prints a configuration file with every key, explained and commented out
    ExampleConfig,
    /// Prints completions for a shell
    Completions(CompletionsArgs),
    /// Prints the manual page, in roff
    Man,
    #[command(flatten)]
    Ask(admin::AdminCommand),
}

/// Does what the command line asks for; `serve` is called with the settled configuration
/// and where it came from.
pub fn command_line(serve: impl FnOnce(Config, Origin) -> ExitCode) -> ExitCode {
    memory::close();
    match Cli::try_parse() {
        Ok(cli) => obey(cli, serve),
        Err(error) => explain(&error),
    }
}

fn obey(cli: Cli, serve: impl FnOnce(Config, Origin) -> ExitCode) -> ExitCode {
    match cli.command {
        None => {
            let flags = environment::options().map(|below| cli.options.over(below));
            let origin = flags.map(|flags| Origin { flags, file: cli.config });
            let settled = origin.and_then(|origin| Ok((wait::settled(&origin)?, origin)));
            told(settled, |(config, origin)| serve(config, origin))
        }
        Some(Command::CheckConfig { file }) => {
            let origin = environment::options().map(|flags| Origin { flags, file: Some(file) });
            told(origin.and_then(|origin| origin.load()), |config| {
                for unknown in environment::unknown() {
                    eprintln!("uturn: {}", escape::text(&unknown));
                }
                let exposed = config.exposed.iter().map(ToString::to_string);
                for line in exposed.chain(config.idle_keys()) {
                    eprintln!("uturn: {}", escape::text(&line));
                }
                let said = say(&escape::lines(&with_sources(&config.summary())));
                match tls::load::load(&config.tls_files(), SystemTime::now()) {
                    Ok(_) => said,
                    Err(unfit) => misuse(&unfit.at_start()),
                }
            })
        }
        Some(Command::Check(args)) => check(&args),
        Some(Command::Credentials(args)) => match credentials::printed(&args) {
            Ok(text) => say(&text),
            Err(problem) => misuse(&problem),
        },
        Some(Command::ImportCoturn(args)) => import_coturn(&args),
        Some(Command::Doctor(args)) => doctor(&args),
        Some(Command::ExampleConfig) => say(&example_file()),
        Some(Command::Completions(args)) => say(&written(|out| {
            manual::completions(args, Cli::command(), out);
        })),
        Some(Command::Man) => say(&written(|out| {
            manual::UTURN.write(Cli::command(), out).expect("memory takes every line");
        })),
        Some(Command::Ask(command)) => admin::run(command),
    }
}

/// The configuration goes where it is wanted, what the reader must know to standard error.
fn import_coturn(args: &ImportArgs) -> ExitCode {
    let imported = match import::import(args) {
        Ok(imported) => imported,
        Err(problem) => return misuse(&problem),
    };
    eprint!("{}", escape::lines(&imported.notes));
    say(if args.prints() { &imported.toml } else { "" })
}

/// Status 1 when something does not work.
fn check(args: &CheckArgs) -> ExitCode {
    match check::check(args) {
        Ok(checked) => {
            let said = say(&checked.text);
            if checked.works { said } else { ExitCode::FAILURE }
        }
        Err(problem) => misuse(&problem),
    }
}

/// Status 1 when something of weight was found.
fn doctor(args: &DoctorArgs) -> ExitCode {
    match doctor::diagnose(args) {
        Ok(diagnosis) => {
            let said = say(&diagnosis.text);
            if diagnosis.has_weight { ExitCode::FAILURE } else { said }
        }
        Err(error) => misuse(&error.to_string()),
    }
}

/// Says behind each line of a summary which variable it comes from, if from one.
fn with_sources(summary: &str) -> String {
    let from: Vec<&str> = environment::keys().map(|key| key.name).collect();
    let line = |line: &str| match from.iter().find(|key| is_of(line, key)) {
        Some(key) => format!("{line} # from {}\n", variable_name(key)),
        None => format!("{line}\n"),
    };
    summary.lines().map(line).collect()
}

fn is_of(line: &str, key: &str) -> bool {
    line.strip_prefix(key).is_some_and(|rest| rest.starts_with(" = "))
}

fn told<T>(config: Result<T, ConfigError>, then: impl FnOnce(T) -> ExitCode) -> ExitCode {
    match config {
        Ok(config) => then(config),
        Err(error) => misuse(&error.to_string()),
    }
}

/// Collects what something writes.
fn written(write: impl FnOnce(&mut dyn Write)) -> String {
    let mut text = Vec::new();
    write(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Prints to standard output. A reader that has heard enough is no fault.
fn say(text: &str) -> ExitCode {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).unwrap_or_default();
    ExitCode::SUCCESS
}

fn misuse(problem: &str) -> ExitCode {
    eprintln!("uturn: {}", escape::text(problem));
    ExitCode::from(MISUSE)
}

/// Help goes to standard output as it is; a bad value gets one line, which does not repeat the
/// value, since it may be a password.
fn explain(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => say(&error.to_string()),
        ErrorKind::ValueValidation => misuse(&bad_value(error)),
        _ => misuse(&in_one_line(&error.to_string())),
    }
}

fn bad_value(error: &clap::Error) -> String {
    let flag = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let flag = flag.split(' ').next().unwrap_or_default().trim_start_matches('-').to_owned();
    let problem = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("command line: {flag}: {problem}")
}

/// Keeps what clap says is wrong and its tip, drops the usage and the pointer to `--help`.
fn in_one_line(rendered: &str) -> String {
    let is_more = |line: &str| line.starts_with("Usage:") || line.starts_with("For more");
    let lines = rendered.lines().map(str::trim).take_while(|line| !is_more(line));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let said = lines.join("; ").replace(":; ", ": ");
    format!("command line: {}", said.trim_start_matches("error: "))
}
