//! What the machine does for [`tidemill_core::frame`].

/// The checksum of frames, by the processor's instructions for it where it has them (x86-64 with SSE 4.2, `AArch64` with
/// CRC), else by tables of 8 KiB: for [`Config::checksum`](tidemill_core::frame::link::Config::checksum).
///
/// ```
/// use tidemill_core::frame::{Carrier, crc, link::Config};
///
/// let config = Config { checksum: tidemill_host::frame::checksum, ..Config::new(Carrier::Stream) };
/// assert_eq!((config.checksum)(0, b"high water"), crc::software(0, b"high water"));
/// ```
pub fn checksum(before: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidemill_core::frame::crc::software;

    #[test]
    fn it_is_that_of_core_for_every_length_start_and_alignment() {
        let bytes: Vec<u8> = (0..5_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for len in (0..300).chain([1_023, 1_024, 4_095, 4_096, 4_900]) {
            for at in 0..9 {
                let part = &bytes[at..at + len];
                assert_eq!(checksum(len as u32, part), software(len as u32, part), "{len} bytes from {at}");
            }
        }
    }
}
