//! The `tidemill` command: parses the command line, calls the library, and prints.
//!
//! Exit status 0: done; 1: failed; 2: the command line is wrong. An error is one line on stderr, `tidemill: what: why`.

mod access;
mod args;
mod get;
mod interrupt;
mod json;
mod map;
mod mill;
mod progress;
mod serve;
mod sim;
mod units;
mod url;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use tidemill_host::download;

/// Why a command ends without success.
pub(crate) enum Failure {
    /// The command line asks for what cannot be.
    Usage(String),
    /// What was tried failed.
    Failed(String),
}

impl Failure {
    /// What and why, on one line but for what a peer put there.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Usage(message) | Self::Failed(message) => message,
        }
    }
}

impl From<download::Error> for Failure {
    fn from(error: download::Error) -> Self {
        if error.is_usage() { Self::Usage(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

fn main() -> ExitCode {
    let result = match Cli::try_parse() {
        Ok(Cli { command: Command::Get(args) }) => get::run(&args),
        Ok(Cli { command: Command::Serve(args) }) => serve::run(&args),
        Ok(Cli { command: Command::Url(args) }) => url::run(&args),
        Ok(Cli { command: Command::Sim(args) }) => sim::run(&args),
        Ok(Cli { command: Command::Map(args) }) => map::run(&args),
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Whoever closed the pipe has read enough.
                let _ = error.print();
                Ok(())
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = error.print();
                return ExitCode::from(2);
            }
            _ => Err(Failure::Usage(first_paragraph(&error.to_string()))),
        },
    };
    let Err(failure) = result else { return ExitCode::SUCCESS };
    tell(&format!("tidemill: {}", failure.message()));
    ExitCode::from(if matches!(failure, Failure::Usage(_)) { 2 } else { 1 })
}

/// What clap says before its hints, on one line.
fn first_paragraph(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.trim().is_empty());
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).collect();
    let line = words.join(" ");
    line.strip_prefix("error: ").unwrap_or(&line).to_owned()
}

/// `text` with everything replaced that could break the line or steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Prints a line for a person on stderr. When it is closed, the exit status still tells.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// Prints a line on stdout. When nobody reads it any more, the exit status still tells.
pub(crate) fn print(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_text_can_neither_break_the_line_nor_steer_the_terminal() {
        assert_eq!(printable("a\nb\x1b[2J\u{9b}é"), "a\u{fffd}b\u{fffd}[2J\u{fffd}é");
    }

    #[test]
    fn an_error_of_the_command_line_is_one_line() {
        let error = Cli::try_parse_from(["tidemill", "get"]).unwrap_err();
        assert_eq!(first_paragraph(&error.to_string()), "the following required arguments were not provided: <URL>...");
        let error = Cli::try_parse_from(["tidemill", "get", "u", "-n", "0"]).unwrap_err();
        let line = first_paragraph(&error.to_string());
        assert_eq!(line, "invalid value '0' for '--connections <N>': 0 is not in 1..=64");
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
