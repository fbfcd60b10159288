//! How a process is started.

use std::sync::Mutex;
use std::sync::PoisonError;

use super::Error;

/// How a process is started.
///
/// | method | what the child is | time | registered functions only |
/// |---|---|---|---|
/// | `Spawn` | this program, from its beginning | a program's start | yes |
/// | `Fork` | a copy of this process | grows with its memory | no |
/// | `ForkServer` | a copy of a small process that was started early | the least | yes |
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StartMethod {
    /// This program, from its beginning.
    Spawn,
    /// A copy of this process; refused while it has other threads.
    Fork,
    /// A copy of the fork server. The default.
    ForkServer,
}

impl StartMethod {
    /// All there are; the default is the first.
    #[doc(alias = "get_all_start_methods")]
    pub const ALL: [Self; 3] = [Self::ForkServer, Self::Spawn, Self::Fork];
}

impl std::str::FromStr for StartMethod {
    type Err = UnknownMethod;

    /// Python's names: `spawn`, `fork`, `forkserver`.
    fn from_str(name: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.to_string() == name).ok_or(UnknownMethod)
    }
}

impl std::fmt::Display for StartMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Spawn => "spawn",
            Self::Fork => "fork",
            Self::ForkServer => "forkserver",
        })
    }
}

/// There is no start method of that name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnknownMethod;

impl std::fmt::Display for UnknownMethod {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("no such start method: there are spawn, fork and forkserver")
    }
}

impl std::error::Error for UnknownMethod {}

static METHOD: Mutex<Option<StartMethod>> = Mutex::new(None);

/// Sets how processes are started that do not say. Once, unless `force`d.
///
/// # Errors
/// [`Error::AlreadySet`], also if it was asked for by [`get_start_method`] before: then something may rely on it.
pub fn set_start_method(method: StartMethod, force: bool) -> Result<(), Error> {
    let mut now = METHOD.lock().unwrap_or_else(PoisonError::into_inner);
    if now.is_some() && !force {
        return Err(Error::AlreadySet);
    }
    *now = Some(method);
    Ok(())
}

/// How processes are started that do not say; from now on it is set.
pub fn get_start_method() -> StartMethod {
    *METHOD.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(StartMethod::ALL[0])
}
