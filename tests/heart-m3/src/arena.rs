//! Room for a hundred thousand of anything: the board's PSRAM, handed out from its start for each measurement.

use core::mem::{align_of, size_of};

const START: usize = 0x2100_0000;
const END: usize = START + (16 << 20);

/// Hands out memory that is never given back, but used again by the next arena.
pub struct Arena(usize);

impl Arena {
    /// # Safety
    /// Nothing of an earlier arena is in use.
    pub unsafe fn new() -> Self {
        Self(START)
    }

    /// `None`: it does not fit.
    pub fn slice<T: 'static>(&mut self, len: usize, mut init: impl FnMut(usize) -> T) -> Option<&'static mut [T]> {
        let start = self.0.next_multiple_of(align_of::<T>());
        let end = start + len * size_of::<T>();
        if end > END {
            return None;
        }
        self.0 = end;
        let first = start as *mut T;
        for index in 0..len {
            // SAFETY: aligned, inside the PSRAM, and of this arena alone.
            unsafe { first.add(index).write(init(index)) };
        }
        // SAFETY: just initialised.
        Some(unsafe { core::slice::from_raw_parts_mut(first, len) })
    }

    /// One, made in place. Panics if it does not fit.
    pub fn one<T: 'static>(&mut self, value: T) -> &'static mut T {
        let mut value = Some(value);
        let slice = self.slice(1, |_| value.take().expect("made once"));
        &mut slice.expect("fits")[0]
    }
}
