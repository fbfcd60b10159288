//! What crosses tidemill's crates; see `tests/`.

pub mod board;
pub mod e2e;
pub mod net_conformance;
pub mod servers;
pub mod wire;

/// A Python 3.13, to measure or talk to: the one that `TIDEMILL_PYTHON` names, one on the path, or one of pyenv's.
pub fn python() -> Option<String> {
    let own = std::env::var("TIDEMILL_PYTHON").ok();
    let home = std::env::var("HOME").unwrap_or_default();
    let versions = std::fs::read_dir(format!("{home}/.pyenv/versions")).into_iter().flatten().flatten();
    let installed = versions.map(|entry| entry.path().join("bin/python3").display().to_string());
    let mut names = own.into_iter().chain(["python3.13".to_owned(), "python3".to_owned()]).chain(installed);
    names.find(|name| {
        let version = std::process::Command::new(name).arg("--version").output();
        version.is_ok_and(|output| output.stdout.starts_with(b"Python 3.13."))
    })
}

/// The README's examples, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
