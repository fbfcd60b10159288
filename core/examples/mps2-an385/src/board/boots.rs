//! How often the board has started: a word of memory that is not cleared at a start.
#![allow(unsafe_code)]

use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicU32, Ordering};

/// Says that the word below was written by us.
const MARK: u32 = 0x7469_6465;

#[unsafe(link_section = ".uninit")]
static mut KEPT: MaybeUninit<[u32; 2]> = MaybeUninit::uninit();

/// What [`boots`] says.
static BOOTS: AtomicU32 = AtomicU32::new(0);

/// One more.
pub(super) fn count() {
    let kept = (&raw mut KEPT).cast::<[u32; 2]>();
    // SAFETY: once, at the start, before anything else may run. Memory that was never written reads as some number, which the
    // mark tells; reading it volatile leaves it at that.
    let boots = unsafe {
        let [mark, boots] = kept.read_volatile();
        let boots = if mark == MARK { boots.wrapping_add(1) } else { 1 };
        kept.write_volatile([MARK, boots]);
        boots
    };
    BOOTS.store(boots, Ordering::Relaxed);
}

/// How often the board has started since it has power, this time included: what makes this life's random numbers, ports and
/// sequence numbers others than the last one's.
pub fn boots() -> u32 {
    BOOTS.load(Ordering::Relaxed)
}
