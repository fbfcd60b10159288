//! Which interrupt goes where.
#![allow(unsafe_code)]

use super::{network, timer, uart};
use core::arch::asm;

/// An entry of the table.
#[derive(Clone, Copy)]
#[repr(C)]
pub union Vector {
    handler: unsafe extern "C" fn(),
    _reserved: usize,
}

/// What the processor looks up: an interrupt that nobody enabled stops here.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
pub static __INTERRUPTS: [Vector; 32] = {
    let mut table = [Vector { handler: nobody }; 32];
    table[uart::RX_IRQ as usize] = Vector { handler: uart_rx };
    table[uart::TX_IRQ as usize] = Vector { handler: uart_tx };
    table[timer::IRQ as usize] = Vector { handler: beat };
    table[network::IRQ as usize] = Vector { handler: ethernet };
    table
};

/// The board's interrupts by number, as the interrupt controller knows them.
#[derive(Clone, Copy)]
pub(super) struct Irq(pub(super) u16);

// SAFETY: numbers of the board, below 32.
unsafe impl cortex_m::interrupt::InterruptNumber for Irq {
    fn number(self) -> u16 {
        self.0
    }
}

extern "C" fn uart_rx() {
    uart::received();
}

extern "C" fn uart_tx() {
    uart::sent();
}

extern "C" fn beat() {
    timer::beat();
}

extern "C" fn ethernet() {
    network::arrived();
}

extern "C" fn nobody() {
    // SAFETY: an undefined instruction: a fault, whose report says where.
    unsafe { asm!("udf #0", options(noreturn)) }
}
