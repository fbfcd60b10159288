//! Panics and faults, told on UART 0 as a line of text: whoever decodes frames there takes it for damage and goes on.
//!
//! A panic names its line; without the feature `locations` it tells the addresses of code that lie on the stack, of which
//! `addr2line` makes lines on the host: the names of files and what hands them on are a tenth of a small image.
#![allow(unsafe_code)]

use super::exit;
use super::text::Text;
use super::uart::text;
use core::panic::PanicInfo;
use cortex_m_rt::ExceptionFrame;

#[panic_handler]
#[cfg_attr(not(feature = "locations"), expect(unused_variables, reason = "what is not used is not linked"))]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    let mut out = text();
    out.text("\npanicked");
    #[cfg(feature = "locations")]
    if let Some(location) = info.location() {
        out.text(" at ").text(location.file()).text(":").number(location.line());
    }
    #[cfg(not(feature = "locations"))]
    for address in super::stack::callers().take(CALLERS) {
        out.text(" ").hex(address);
    }
    end(out)
}

/// How many addresses a panic tells.
#[cfg(not(feature = "locations"))]
const CALLERS: usize = 16;

#[cortex_m_rt::exception]
// SAFETY: it touches nothing but registers, and does not return.
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let mut out = text();
    out.text("\nhard fault at ").hex(frame.pc()).text(", called from ").hex(frame.lr());
    // SAFETY: the fault status register may be read at any time.
    let status = unsafe { (*cortex_m::peripheral::SCB::PTR).cfsr.read() };
    out.text(", status ").hex(status);
    end(out)
}

#[cortex_m_rt::exception]
// SAFETY: as above.
unsafe fn DefaultHandler(number: i16) -> ! {
    let mut out = text();
    out.text("\nexception ").hex(number as u32);
    end(out)
}

/// A product would reset here; an emulator ends.
fn end(mut out: Text<impl FnMut(&[u8])>) -> ! {
    out.text("\n");
    exit::exit(false)
}
