//! What happens inside, for whoever wants to see it: with the feature `log` it goes to the `log` crate, without it is not there.

/// `tell!(Debug, "{name}: started")`: at a level of `log`'s, under the module that says so.
macro_rules! tell {
    ($level:ident, $($format:tt)+) => {{
        #[cfg(feature = "log")]
        ::log::log!(::log::Level::$level, $($format)+);
        #[cfg(not(feature = "log"))]
        {
            let _ = || {
                let _ = format_args!($($format)+);
            };
        }
    }};
}
pub(crate) use tell;
