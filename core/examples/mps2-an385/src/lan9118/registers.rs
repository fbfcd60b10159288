//! Names and bits of the chip's registers, as far as they are used (chapter 5).

/// The chip's registers, 32 bits wide, at these offsets in bytes. Reading some of them has an effect.
pub trait Registers: Copy {
    /// Reads one.
    fn read(self, offset: u32) -> u32;
    /// Writes one.
    fn write(self, offset: u32, value: u32);
}

pub const RX_DATA: u32 = 0x00;
pub const TX_DATA: u32 = 0x20;
pub const RX_STATUS: u32 = 0x40;
pub const TX_STATUS: u32 = 0x48;
pub const ID_REV: u32 = 0x50;
pub const IRQ_CFG: u32 = 0x54;
pub const INT_STS: u32 = 0x58;
pub const INT_EN: u32 = 0x5C;
pub const BYTE_TEST: u32 = 0x64;
pub const FIFO_INT: u32 = 0x68;
pub const RX_CFG: u32 = 0x6C;
pub const TX_CFG: u32 = 0x70;
pub const HW_CFG: u32 = 0x74;
pub const RX_FIFO_INF: u32 = 0x7C;
pub const TX_FIFO_INF: u32 = 0x80;
pub const PMT_CTRL: u32 = 0x84;
pub const RX_DROP: u32 = 0xA0;
pub const MAC_CSR_CMD: u32 = 0xA4;
pub const MAC_CSR_DATA: u32 = 0xA8;

/// The upper half of `ID_REV`: LAN9115 to LAN9118, LAN9215 to LAN9218, LAN9210, LAN9211, LAN9220, LAN9221.
pub const CHIPS: [u32; 12] =
    [0x115, 0x116, 0x117, 0x118, 0x115A, 0x116A, 0x117A, 0x118A, 0x9210, 0x9211, 0x9220, 0x9221];
pub const BYTE_TEST_VALUE: u32 = 0x8765_4321;
pub const PMT_READY: u32 = 1;

pub const HW_SRST: u32 = 1;
/// Must be one.
pub const HW_MBO: u32 = 1 << 20;
/// 5 KiB of the memory for sending: 10,560 bytes are left for receiving.
pub const HW_TX_5K: u32 = 5 << 16;

pub const IRQ_TYPE: u32 = 1;
pub const IRQ_POL: u32 = 1 << 4;
pub const IRQ_EN: u32 = 1 << 8;
/// More frames have been received than `FIFO_INT` says.
pub const INT_RSFL: u32 = 1 << 3;

pub const TX_ON: u32 = 1 << 1;
pub const TX_FIRST: u32 = 1 << 13;
pub const TX_LAST: u32 = 1 << 12;
pub const TX_ERROR: u32 = 1 << 15;
pub const RX_ERROR: u32 = 1 << 15;

pub const CSR_BUSY: u32 = 1 << 31;
pub const CSR_READ: u32 = 1 << 30;

// Of the MAC, behind `MAC_CSR_CMD`.
pub const MAC_CR: u32 = 1;
pub const MAC_ADDRH: u32 = 2;
pub const MAC_ADDRL: u32 = 3;
pub const MAC_HASHH: u32 = 4;
pub const MAC_HASHL: u32 = 5;
pub const MAC_MII_ACC: u32 = 6;
pub const MAC_MII_DATA: u32 = 7;

pub const MAC_RXEN: u32 = 1 << 2;
pub const MAC_TXEN: u32 = 1 << 3;
/// Groups are filtered by the hash, everything else by address.
pub const MAC_HPFILT: u32 = 1 << 13;
pub const MAC_PRMS: u32 = 1 << 18;
/// All groups pass.
pub const MAC_MCPAS: u32 = 1 << 19;
pub const MAC_FDPX: u32 = 1 << 20;

// Of the PHY, behind `MAC_MII_ACC`.
pub const MII_BUSY: u32 = 1;
pub const MII_WRITE: u32 = 1 << 1;
/// The PHY inside the chip has address 1.
pub const MII_PHY: u32 = 1 << 11;
pub const PHY_CONTROL: u32 = 0;
/// Agree with the other end on speed and duplex, anew.
pub const PHY_NEGOTIATE: u32 = 0x1200;
pub const PHY_STATUS: u32 = 1;
pub const PHY_LINK: u32 = 1 << 2;
