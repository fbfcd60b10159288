//! Panics and faults, told on UART 0 as a line of text: whoever decodes frames there takes it for damage and goes on.
#![allow(unsafe_code)]

use super::exit;
use super::uart::Text;
use core::panic::PanicInfo;
use cortex_m_rt::ExceptionFrame;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    cortex_m::interrupt::disable();
    let mut out = Text::begin();
    out.text("\npanicked");
    if let Some(location) = info.location() {
        out.text(" at ");
        out.text(location.file());
        out.text(":");
        out.number(location.line());
    }
    end(out)
}

#[cortex_m_rt::exception]
// SAFETY: it touches nothing but registers, and does not return.
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    let mut out = Text::begin();
    out.text("\nhard fault at ");
    out.hex(frame.pc());
    out.text(", called from ");
    out.hex(frame.lr());
    // SAFETY: the fault status register may be read at any time.
    let status = unsafe { (*cortex_m::peripheral::SCB::PTR).cfsr.read() };
    out.text(", status ");
    out.hex(status);
    end(out)
}

#[cortex_m_rt::exception]
// SAFETY: as above.
unsafe fn DefaultHandler(number: i16) -> ! {
    let mut out = Text::begin();
    out.text("\nexception ");
    out.hex(number as u32);
    end(out)
}

/// A product would reset here; an emulator ends.
fn end(mut out: Text) -> ! {
    out.text("\n");
    exit::exit(false)
}
