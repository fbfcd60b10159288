//! How much of the stack was used: it is painted at the start, and what was used has other colours.
#![allow(unsafe_code)]

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
}

/// The most bytes of stack that were in use at any time since the start. O(what was not used).
pub fn used_max() -> usize {
    let (top, bottom) = (&raw const _stack_start, &raw const _stack_end);
    let mut at = bottom;
    // SAFETY: from the stack's end to its start is memory of the board, aligned; it is read as the words that they are, and
    // those in use are read by nobody else meanwhile.
    while at < top && unsafe { at.read_volatile() } == STACK_PAINT_VALUE {
        // SAFETY: at most the stack's start.
        at = unsafe { at.add(1) };
    }
    top as usize - at as usize
}
