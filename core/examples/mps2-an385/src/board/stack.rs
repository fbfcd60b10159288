//! How much of the stack was used: it is painted at the start, and what was used has other colours.
#![allow(unsafe_code)]

use cortex_m_rt::STACK_PAINT_VALUE;

unsafe extern "C" {
    static mut _stack_start: u32;
    static mut _stack_end: u32;
    #[cfg(not(feature = "locations"))]
    static __stext: u32;
    #[cfg(not(feature = "locations"))]
    static __etext: u32;
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

/// What on the stack looks like the address of a call in the image's code, from the latest on. Some are left there by calls
/// that are over.
#[cfg(not(feature = "locations"))]
pub(super) fn callers() -> impl Iterator<Item = u32> {
    let code = &raw const __stext as u32..&raw const __etext as u32;
    let (from, top) = (cortex_m::register::msp::read(), &raw const _stack_start as u32);
    // SAFETY: as above, all of it in use.
    let words = (from..top).step_by(4).map(|at| unsafe { (at as *const u32).read_volatile() });
    // A return address has its lowest bit set: the code is Thumb.
    words.filter(move |word| word & 1 == 1 && code.contains(word))
}
