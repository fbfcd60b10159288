//! Registers at an address.
#![allow(unsafe_code)]

/// A block of 32-bit registers of a device.
#[derive(Clone, Copy)]
pub(super) struct Mmio(usize);

impl Mmio {
    /// # Safety
    /// At `base` is a device, whose registers are aligned, and reading and writing them touches no memory of the program's.
    pub(super) const unsafe fn new(base: usize) -> Self {
        Self(base)
    }

    pub(super) fn read(self, offset: u32) -> u32 {
        // SAFETY: as whoever made this has promised; offsets are those of the device's registers.
        unsafe { (self.0 as *const u32).byte_add(offset as usize).read_volatile() }
    }

    pub(super) fn write(self, offset: u32, value: u32) {
        // SAFETY: as above.
        unsafe { (self.0 as *mut u32).byte_add(offset as usize).write_volatile(value) }
    }
}
