//! The driver over a model of the chip: registers, FIFOs, and what a chip does when it is damaged, absent or full.

use super::registers as reg;
use super::{Buffers, Error, Filter, Lan9118, Registers};
use smoltcp::phy::{Device, RxToken, TxToken};
use smoltcp::time::Instant;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

/// What the chip holds.
struct Chip {
    /// What `ID_REV` and `BYTE_TEST` read.
    id: u32,
    test: u32,
    /// It never comes back from a reset.
    stuck: bool,
    /// Status and words of frames that have arrived.
    statuses: VecDeque<u32>,
    words: VecDeque<u32>,
    dropped: u32,
    /// What was sent: commands and words, and how much room there is for more.
    sent: Vec<u32>,
    room: u32,
    tx_statuses: VecDeque<u32>,
    registers: [u32; 0x40],
    mac: [u32; 16],
    phy: [u32; 32],
}

type Shared = RefCell<Chip>;

impl Registers for &Shared {
    fn read(self, offset: u32) -> u32 {
        let mut chip = self.borrow_mut();
        match offset {
            reg::RX_DATA => chip.words.pop_front().expect("a word that is not there was read"),
            reg::RX_STATUS => chip.statuses.pop_front().expect("a frame that is not there was read"),
            reg::TX_STATUS => chip.tx_statuses.pop_front().expect("a status that is not there was read"),
            reg::RX_FIFO_INF => (chip.statuses.len() as u32) << 16 | chip.words.len() as u32 * 4,
            reg::TX_FIFO_INF => (chip.tx_statuses.len() as u32) << 16 | chip.room,
            reg::ID_REV => chip.id,
            reg::BYTE_TEST => chip.test,
            reg::PMT_CTRL => reg::PMT_READY,
            reg::RX_DROP => core::mem::take(&mut chip.dropped),
            reg::HW_CFG if chip.stuck => reg::HW_SRST,
            _ => chip.registers[offset as usize / 4],
        }
    }

    fn write(self, offset: u32, value: u32) {
        let mut chip = self.borrow_mut();
        match offset {
            reg::TX_DATA => chip.sent.push(value),
            reg::HW_CFG => chip.registers[offset as usize / 4] = value & !reg::HW_SRST,
            reg::MAC_CSR_CMD => {
                let register = (value & 0xF) as usize;
                let data = reg::MAC_CSR_DATA as usize / 4;
                if value & reg::CSR_READ != 0 {
                    chip.registers[data] = chip.mac[register];
                } else {
                    chip.mac[register] = chip.registers[data];
                    if register as u32 == reg::MAC_MII_ACC {
                        chip.access_phy();
                    }
                }
            }
            _ => chip.registers[offset as usize / 4] = value,
        }
    }
}

impl Chip {
    fn new() -> Shared {
        RefCell::new(Self {
            id: 0x0118_0001,
            test: reg::BYTE_TEST_VALUE,
            stuck: false,
            statuses: VecDeque::new(),
            words: VecDeque::new(),
            dropped: 0,
            sent: vec![],
            room: 5000,
            tx_statuses: VecDeque::new(),
            registers: [0; 0x40],
            mac: [0; 16],
            phy: [0; 32],
        })
    }

    fn access_phy(&mut self) {
        let access = self.mac[reg::MAC_MII_ACC as usize];
        let register = (access >> 6 & 0x1F) as usize;
        if access & reg::MII_WRITE != 0 {
            self.phy[register] = self.mac[reg::MAC_MII_DATA as usize];
        } else {
            self.mac[reg::MAC_MII_DATA as usize] = self.phy[register];
        }
        self.mac[reg::MAC_MII_ACC as usize] = access & !reg::MII_BUSY;
    }

    /// A frame arrives, with what stands for its checksum.
    fn arrive(&mut self, frame: &[u8], errors: u32) {
        let mut bytes = frame.to_vec();
        bytes.extend([0xEE; 4]);
        self.statuses.push_back((bytes.len() as u32) << 16 | errors);
        bytes.resize(bytes.len().next_multiple_of(4), 0xDD);
        self.words.extend(bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())));
    }
}

const MAC: [u8; 6] = [2, 3, 4, 5, 6, 7];

fn receive<R: Registers>(lan: &mut Lan9118<'_, R>) -> Option<Vec<u8>> {
    let (rx, _) = lan.receive(Instant::ZERO)?;
    Some(rx.consume(<[u8]>::to_vec))
}

#[test]
fn the_chip_is_set_up_for_its_address_and_nothing_passes_that_was_not_asked_for() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    {
        let chip = chip.borrow();
        assert_eq!(chip.mac[reg::MAC_ADDRL as usize], 0x0504_0302);
        assert_eq!(chip.mac[reg::MAC_ADDRH as usize], 0x0706);
        assert_eq!(chip.mac[reg::MAC_CR as usize], reg::MAC_FDPX | reg::MAC_TXEN | reg::MAC_RXEN);
        assert_eq!(chip.registers[reg::INT_EN as usize / 4], 0);
        assert_eq!(chip.phy[reg::PHY_CONTROL as usize], reg::PHY_NEGOTIATE);
    }
    lan.set_filter(&Filter::Everything).unwrap();
    assert_ne!(chip.borrow().mac[reg::MAC_CR as usize] & reg::MAC_PRMS, 0);
    lan.set_filter(&Filter::Groups(&[[0x01, 0, 0x5E, 0, 0, 1]])).unwrap();
    let cr = chip.borrow().mac[reg::MAC_CR as usize];
    assert_eq!((cr & reg::MAC_PRMS, cr & reg::MAC_HPFILT), (0, reg::MAC_HPFILT));
    assert_eq!(chip.borrow().mac[reg::MAC_HASHL as usize], 1 << 31);
}

#[test]
fn a_chip_that_is_absent_another_or_stuck_is_told_apart() {
    let error = |change: fn(&mut Chip)| {
        let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
        change(&mut chip.borrow_mut());
        Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).err()
    };
    assert_eq!(error(|chip| chip.test = u32::MAX), Some(Error::NoChip));
    assert_eq!(error(|chip| chip.id = 0x1234_0000), Some(Error::Unknown(0x1234_0000)));
    assert_eq!(error(|chip| chip.stuck = true), Some(Error::Stuck));
    assert_eq!(error(|chip| chip.id = 0x9220_0000), None);
}

#[test]
fn frames_of_every_length_come_in_as_they_were_sent() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let mut lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    for len in (60..=1514).step_by(7).chain([1513, 1514]) {
        let frame: Vec<u8> = (0..len).map(|at| (at * 31 + len) as u8).collect();
        chip.borrow_mut().arrive(&frame, 0);
        assert!(lan.has_frame());
        assert_eq!(receive(&mut lan), Some(frame));
        assert!(!lan.has_frame() && chip.borrow().words.is_empty());
    }
    assert_eq!(receive(&mut lan), None);
}

#[test]
fn damaged_frames_and_those_too_long_are_read_out_and_counted() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let mut lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    {
        let mut chip = chip.borrow_mut();
        chip.arrive(&[1; 100], reg::RX_ERROR);
        chip.arrive(&[2; 1515], 0);
        chip.arrive(&[3; 9000], 0);
        // Less than a checksum.
        chip.statuses.push_back(3 << 16);
        chip.words.push_back(0);
        chip.arrive(&[4; 64], 0);
        chip.dropped = 5;
    }
    assert_eq!(receive(&mut lan), Some(vec![4; 64]));
    assert_eq!(receive(&mut lan), None);
    let counters = lan.counters();
    assert_eq!((counters.received, counters.receive_errors, counters.dropped), (1, 4, 5));
    assert_eq!(lan.counters().dropped, 5);
    assert!(chip.borrow().words.is_empty());
}

#[test]
fn frames_go_out_as_two_commands_and_their_words() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let mut lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    lan.transmit(Instant::ZERO).unwrap().consume(6, |frame| frame.copy_from_slice(&[1, 2, 3, 4, 5, 6]));
    let sent = core::mem::take(&mut chip.borrow_mut().sent);
    assert_eq!(sent[..2], [reg::TX_FIRST | reg::TX_LAST | 6, 6]);
    assert_eq!((sent.len(), sent[2], sent[3] & 0xFFFF), (4, 0x0403_0201, 0x0605));
    // The second has the next tag.
    lan.transmit(Instant::ZERO).unwrap().consume(4, |frame| frame.fill(9));
    assert_eq!(chip.borrow().sent[1], 1 << 16 | 4);
    chip.borrow_mut().tx_statuses.extend([0, reg::TX_ERROR]);
    assert!(lan.transmit(Instant::ZERO).is_some());
    assert!(chip.borrow().tx_statuses.is_empty());
    let counters = lan.counters();
    assert_eq!((counters.sent, counters.send_errors), (2, 1));
}

#[test]
fn a_full_chip_takes_nothing_and_a_frame_that_cannot_be_answered_waits() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let mut lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    chip.borrow_mut().room = 1500;
    chip.borrow_mut().arrive(&[7; 60], 0);
    assert!(lan.transmit(Instant::ZERO).is_none());
    assert_eq!(receive(&mut lan), None);
    chip.borrow_mut().room = 5000;
    assert_eq!(receive(&mut lan), Some(vec![7; 60]));
}

#[test]
fn the_link_is_asked_of_the_phy() {
    let (chip, mut buffers) = (Chip::new(), Buffers::EMPTY);
    let lan = Lan9118::new(&chip, &mut buffers, MAC, &Filter::Own).unwrap();
    assert_eq!(lan.link_up(), Ok(false));
    chip.borrow_mut().phy[reg::PHY_STATUS as usize] = reg::PHY_LINK;
    assert_eq!(lan.link_up(), Ok(true));
}
