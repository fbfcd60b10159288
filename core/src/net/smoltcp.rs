//! The smoltcp stack behind [`super::Stack`].
