//! Which frames to other addresses are taken in.

use super::registers::{MAC_HPFILT, MAC_MCPAS, MAC_PRMS};

/// Which frames are taken in, beside those to the chip's own address and to all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filter<'a> {
    /// None.
    Own,
    /// Those to these groups, and by chance some to others: the chip keeps six bits of each.
    Groups(&'a [[u8; 6]]),
    /// Those to any group.
    AllGroups,
    /// All there are.
    Everything,
}

impl Filter<'_> {
    /// Its bits of `MAC_CR`.
    pub(super) fn bits(&self) -> u32 {
        match self {
            Self::Own => 0,
            Self::Groups(_) => MAC_HPFILT,
            Self::AllGroups => MAC_MCPAS,
            Self::Everything => MAC_PRMS,
        }
    }

    /// The table of groups: one bit for each of the 64 values that a hash may have.
    pub(super) fn hash(&self) -> [u32; 2] {
        let mut table = [0; 2];
        if let Self::Groups(groups) = self {
            for group in *groups {
                let hash = hash(group);
                table[(hash >> 5) as usize] |= 1 << (hash & 31);
            }
        }
        table
    }
}

/// The upper six bits of the address' checksum as Ethernet computes it, before it is inverted (5.4.4).
fn hash(address: &[u8; 6]) -> u32 {
    let mut crc = u32::MAX;
    for byte in address {
        for bit in 0..8 {
            let carry = crc >> 31 ^ u32::from(byte >> bit & 1);
            crc = crc << 1 ^ if carry == 1 { 0x04C1_1DB7 } else { 0 };
        }
    }
    crc >> 26
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python: the upper six bits of `zlib.crc32(address) ^ 0xffffffff`, written backwards.
    #[test]
    fn the_hash_is_that_of_ethernets_checksum() {
        for (group, want) in [
            ([0x01, 0, 0x5E, 0, 0, 1], 31),
            ([0x33, 0x33, 0, 0, 0, 1], 62),
            ([0x01, 0, 0x5E, 0, 0, 251], 15),
            ([0x33, 0x33, 0xFF, 0, 0, 2], 10),
        ] {
            assert_eq!(hash(&group), want, "{group:?}");
        }
    }

    #[test]
    fn each_group_sets_one_bit() {
        let all = Filter::Groups(&[[0x33, 0x33, 0, 0, 0, 1], [1, 0, 0x5E, 0, 0, 251]]).hash();
        assert_eq!(all.map(u32::count_ones).iter().sum::<u32>(), 2);
        assert_eq!(Filter::Own.hash(), [0; 2]);
    }
}
