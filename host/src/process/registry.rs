//! Functions that another process can be asked to run.
//!
//! A fresh process knows nothing of its parent's memory: what it is to run has a name, what it works on is bytes. The
//! linker gathers every [`register!`](crate::register)ed function of the program in one table, and a child, being the
//! same program, has the same table.

use core::fmt::Display;
use std::cell::Cell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every registered function of this program.
#[linkme::distributed_slice]
pub static FUNCTIONS: [Function];

/// Takes arguments as they travelled, and the descriptors among them.
type Call = fn(&[u8], Vec<OwnedFd>) -> Result<Returned, postcard::Error>;

/// A function that can be run in another process: see [`register!`](crate::register).
#[derive(Clone, Copy, Debug)]
pub struct Function {
    name: fn() -> &'static str,
    call: Call,
}

impl Function {
    /// For [`register!`](crate::register).
    #[doc(hidden)]
    pub const fn new(name: fn() -> &'static str, call: Call) -> Self {
        Self { name, call }
    }

    /// Its path in the program.
    pub fn name(&self) -> &'static str {
        (self.name)()
    }

    /// Runs it with arguments as they travelled.
    pub(super) fn call(&self, arguments: &[u8], handles: Vec<OwnedFd>) -> Result<Returned, postcard::Error> {
        (self.call)(arguments, handles)
    }

    /// Where in the table the function of this name is: the same in every process of this program. O(1).
    pub(super) fn index(name: &'static str) -> Option<u32> {
        static INDEX: OnceLock<HashMap<&'static str, u32>> = OnceLock::new();
        thread_local! {
            /// Who asks mostly asks again.
            static LAST: Cell<(&'static str, Option<u32>)> = const { Cell::new(("", None)) };
        }
        let (last, index) = LAST.get();
        if std::ptr::eq(last, name) {
            return index;
        }
        let names = || FUNCTIONS.iter().zip(0..).map(|(function, index)| (function.name(), index)).collect();
        let index = INDEX.get_or_init(names).get(name).copied();
        LAST.set((name, index));
        index
    }

    /// The function of this name. O(functions).
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name() == name)
    }
}

/// The name under which a function is registered.
#[doc(hidden)]
pub fn name_of<F>(_: &F) -> &'static str {
    core::any::type_name::<F>()
}

/// What a function has returned: as bytes, and in words if it is an error.
#[doc(hidden)]
#[derive(Debug)]
pub struct Returned {
    pub bytes: Vec<u8>,
    pub error: Option<String>,
}

/// Runs `function`. `error` looks whether what it returned is an error.
#[doc(hidden)]
pub fn call<A: DeserializeOwned, R: Serialize>(
    function: impl FnOnce(A) -> R,
    arguments: &[u8],
    handles: Vec<OwnedFd>,
    error: impl FnOnce(&R) -> Option<String>,
) -> Result<Returned, postcard::Error> {
    let returned = function(crate::ipc::unpack(handles, || postcard::from_bytes(arguments))?);
    Ok(Returned { error: error(&returned), bytes: postcard::to_allocvec(&returned)? })
}

/// A value that may be a `Result`: the method of the more special of two traits is found first.
#[doc(hidden)]
#[derive(Debug)]
pub struct Value<'a, T>(pub &'a T);

#[doc(hidden)]
pub trait MaybeError {
    fn error(&self) -> Option<String>;
}

impl<T, E: Display> MaybeError for &Value<'_, Result<T, E>> {
    fn error(&self) -> Option<String> {
        self.0.as_ref().err().map(ToString::to_string)
    }
}

#[doc(hidden)]
pub trait NeverError {
    fn error(&self) -> Option<String> {
        None
    }
}

impl<T> NeverError for Value<'_, T> {}

/// Makes functions known to the processes that this program starts, so that they can run them.
///
/// A function takes one argument (a tuple, for several) and returns something; both travel as bytes, through serde and
/// postcard. If it returns an `Err` that can be printed, the process fails.
///
/// ```
/// fn double(x: u64) -> u64 {
///     2 * x
/// }
/// tidemill_host::register!(double);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! register {
    ($($function:path),+ $(,)?) => {$(
        const _: () = {
            #[$crate::process::linkme::distributed_slice($crate::process::FUNCTIONS)]
            #[linkme(crate = $crate::process::linkme)]
            static FUNCTION: $crate::process::Function = $crate::process::Function::new(
                || $crate::process::name_of(&$function),
                |arguments, handles| {
                    #[allow(unused_imports)]
                    use $crate::process::{MaybeError as _, NeverError as _};
                    $crate::process::call($function, arguments, handles, |returned| {
                        (&&$crate::process::Value(returned)).error()
                    })
                },
            );
        };
    )+};
}
