//! The board's 16 MiB of slow memory.
#![allow(unsafe_code)]

/// The memory, whoever has this has all of it.
pub struct Psram(&'static mut [u8]);

impl Psram {
    const BASE: usize = 0x2100_0000;
    const LEN: usize = 16 << 20;

    /// # Safety
    /// Once.
    pub(super) unsafe fn new() -> Self {
        // SAFETY: the board has this memory, the linker knows nothing of it, and the caller promises that nobody else has it.
        // Any bytes are bytes.
        Self(unsafe { core::slice::from_raw_parts_mut(Self::BASE as *mut u8, Self::LEN) })
    }

    /// Its bytes.
    pub fn into_bytes(self) -> &'static mut [u8] {
        self.0
    }
}
