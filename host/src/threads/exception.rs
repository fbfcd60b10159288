//! Why a task failed: what it panicked with, and where.
//!
//! Rust tells where a panic happened only to the panic hook. So the first pool puts a hook before the one that is there:
//! of a panic inside a task it notes the place, and says nothing, as the panic becomes a value; all others go on to the
//! hook that was there. A program that sets its own hook later, and does not call the one before, loses the place.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, panic_any, set_hook, take_hook};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// What a task failed with: a panic, with its payload, message and place; that its pool broke before it could run; or what
/// happened to it in another process, which is then its `source`.
///
/// A clone is the same exception. A task that would rather fail with a value of its own calls
/// [`std::panic::panic_any`], and whoever looks at the exception calls [`take_payload`](Self::take_payload).
#[derive(Clone)]
#[doc(alias = "Panic")]
pub struct Exception(Arc<Inner>);

struct Inner {
    message: Box<str>,
    location: Option<Location>,
    broken: bool,
    cause: Option<Box<dyn Error + Send + Sync>>,
    payload: Mutex<Option<Box<dyn Any + Send>>>,
}

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Location {
    /// As the compiler was given it.
    pub file: Box<str>,
    /// From 1.
    pub line: u32,
    /// From 1.
    pub column: u32,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl Exception {
    fn new(payload: Box<dyn Any + Send>) -> Self {
        let payload = match payload.downcast::<Self>() {
            // The task went on with what another failed with.
            Ok(exception) => return *exception,
            Err(payload) => payload,
        };
        let message = if let Some(text) = payload.downcast_ref::<&str>() {
            *text
        } else {
            payload.downcast_ref::<String>().map_or("a value that is not text", String::as_str)
        };
        let message = message.into();
        let location = PLACE.take();
        Self(Arc::new(Inner { message, location, broken: false, cause: None, payload: Mutex::new(Some(payload)) }))
    }

    /// The pool broke, for this reason.
    pub(crate) fn broken(why: &str) -> Self {
        let message = format!("the pool is broken: {why}").into();
        Self(Arc::new(Inner { message, location: None, broken: true, cause: None, payload: Mutex::new(None) }))
    }

    /// What happened where the work was done, which is not this process: its [`source`](Error::source).
    pub(crate) fn elsewhere(
        cause: impl Error + Send + Sync + 'static,
        message: &str,
        location: Option<Location>,
    ) -> Self {
        let cause: Option<Box<dyn Error + Send + Sync>> = Some(Box::new(cause));
        Self(Arc::new(Inner { message: message.into(), location, broken: false, cause, payload: Mutex::new(None) }))
    }

    /// What the panic said; `a value that is not text` if it did not.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it panicked, if that is known.
    pub fn location(&self) -> Option<&Location> {
        self.0.location.as_ref()
    }

    /// Whether the task did not run because its pool broke.
    pub fn is_broken_pool(&self) -> bool {
        self.0.broken
    }

    /// What it panicked with. The first who asks gets it.
    pub fn take_payload(&self) -> Option<Box<dyn Any + Send>> {
        self.0.payload.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Goes on panicking, with the payload, or if that was taken with the message.
    pub fn resume(self) -> ! {
        match self.take_payload() {
            Some(payload) => std::panic::resume_unwind(payload),
            None => panic_any(self.to_string()),
        }
    }
}

impl Error for Exception {
    /// For a task of a [`ProcessPool`](crate::process::ProcessPool), the [`Failure`](crate::process::Failure).
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(cause) = &self.0.cause {
            return cause.fmt(f);
        }
        match &self.0.location {
            _ if self.0.broken => f.write_str(&self.0.message),
            Some(location) => write!(f, "panicked at {location}: {}", self.0.message),
            None => write!(f, "panicked: {}", self.0.message),
        }
    }
}

impl fmt::Debug for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Exception({self})")
    }
}

thread_local! {
    /// How many calls deep this thread's panics become values.
    static CATCHING: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<Location>> = const { RefCell::new(None) };
}

/// Puts our hook before the one that is there, once.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if CATCHING.get() == 0 {
                return before(info);
            }
            let location = info.location().map(|place| Location {
                file: place.file().into(),
                line: place.line(),
                column: place.column(),
            });
            let _ = PLACE.try_with(|place| *place.borrow_mut() = location);
        }));
    });
}

/// Calls `f`; a panic becomes a value.
#[inline]
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, Exception> {
    let depth = CATCHING.get();
    CATCHING.set(depth + 1);
    let result = catch_unwind(AssertUnwindSafe(f));
    CATCHING.set(depth);
    result.map_err(Exception::new)
}
