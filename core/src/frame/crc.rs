//! CRC-32C (Castagnoli), as every frame ends with it.
//!
//! The polynomial finds all errors of up to five bits in frames of up to 655 bytes, of up to three bits in any frame
//! here, and all bursts of up to 32 bits (Koopman, "32-Bit Cyclic Redundancy Codes for Internet Applications", 2002).
//! Of what is damaged worse, one in 2^32 goes unnoticed.

use crc::{CRC_32_ISCSI, Crc, Table};

/// Goes on with a checksum: takes that of the bytes before (0 at the start) and bytes, gives that of both.
///
/// [`software`] is one, [`small`] another. A processor that has an instruction for it, or a microcontroller that has a peripheral, brings
/// its own.
pub type Checksum = fn(u32, &[u8]) -> u32;

static TABLE: Crc<u32, Table<1>> = Crc::<u32, Table<1>>::new(&CRC_32_ISCSI);

/// The checksum by a table of 1 KiB, for any processor: one byte at a time.
pub fn software(before: u32, bytes: &[u8]) -> u32 {
    let mut digest = TABLE.digest_with_initial((!before).reverse_bits());
    digest.update(bytes);
    digest.finalize()
}

/// What four bits add.
static NIBBLES: [u32; 16] = {
    let mut table = [0; 16];
    let mut nibble = 0;
    while nibble < 16 {
        let (mut sum, mut bits) = (nibble as u32, 0);
        while bits < 4 {
            // The polynomial, its lowest power first.
            sum = sum >> 1 ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 };
            bits += 1;
        }
        table[nibble] = sum;
        nibble += 1;
    }
    table
};

/// The checksum by a table of 64 bytes, for who has little flash: half a byte at a time.
pub fn small(before: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!before, |sum, &byte| {
        let step = |sum: u32| sum >> 4 ^ NIBBLES.get((sum & 15) as usize).copied().unwrap_or(0);
        step(step(sum ^ u32::from(byte)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_is_that_of_the_catalogue() {
        assert_eq!(software(0, b"123456789"), 0xE306_9283);
    }

    #[test]
    fn the_small_one_is_the_same() {
        let bytes: std::vec::Vec<u8> = (0..=255).rev().collect();
        for len in 0..bytes.len() {
            assert_eq!(small(7, &bytes[..len]), software(7, &bytes[..len]));
        }
    }

    #[test]
    fn a_checksum_goes_on_where_it_stopped() {
        for cut in 0..=9 {
            assert_eq!(software(software(0, &b"123456789"[..cut]), &b"123456789"[cut..]), 0xE306_9283);
        }
    }
}
