//! What only an emulator or a debugger can do: say what to run, and end. Without either the processor would fault.
#![allow(unsafe_code)]

use cortex_m_semihosting::{debug, syscall1};

/// Ends QEMU, with status 0 or 1.
pub fn exit(ok: bool) -> ! {
    debug::exit(if ok { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    loop {
        cortex_m::asm::wfi();
    }
}

/// What was said after `-append`, if it is text and fits.
pub fn command_line(buffer: &mut [u8]) -> Option<&str> {
    let mut block = [buffer.as_mut_ptr() as usize, buffer.len()];
    // SAFETY: the call's block is where the text goes and how much of it, and gets its length.
    let failed = unsafe { syscall1!(GET_CMDLINE, block.as_mut_ptr()) };
    let text = buffer.get(..block[1]).filter(|_| failed == 0)?;
    // The first word is the image's name.
    let name = text.iter().position(|&byte| byte == b' ')?;
    core::str::from_utf8(text.get(name..)?.trim_ascii()).ok()
}
