//! State changes, for whoever wants to see them: `trace!` goes to defmt or to log, and without either feature it is not
//! there. With both, defmt is taken.

/// `trace!("task {}: begun", index)`: arguments are numbers and words, which both can format.
macro_rules! trace {
    ($format:literal $(, $argument:expr)* $(,)?) => {{
        #[cfg(feature = "defmt")]
        defmt::trace!($format $(, $argument)*);
        #[cfg(all(feature = "log", not(feature = "defmt")))]
        log::trace!($format $(, $argument)*);
        #[cfg(not(any(feature = "defmt", feature = "log")))]
        {
            let _ = || { $(let _ = &$argument;)* };
        }
    }};
}
pub(crate) use trace;

/// How a type is formatted of which nothing can be shown, or not all of it.
macro_rules! format_as_name {
    ($name:ident<$($lifetime:lifetime,)? $($parameter:ident),*>) => {
        impl<$($lifetime,)? $($parameter),*> core::fmt::Debug for $name<$($lifetime,)? $($parameter),*> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        #[cfg(feature = "defmt")]
        impl<$($lifetime,)? $($parameter),*> defmt::Format for $name<$($lifetime,)? $($parameter),*> {
            fn format(&self, f: defmt::Formatter<'_>) {
                defmt::write!(f, "{=str} {{ .. }}", stringify!($name));
            }
        }
    };
}
pub(crate) use format_as_name;
