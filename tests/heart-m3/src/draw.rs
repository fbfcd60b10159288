//! The same random numbers for everyone (xorshift64*).

pub struct Draw(u64);

impl Draw {
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    pub fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }

    pub fn below(&mut self, bound: usize) -> usize {
        ((u64::from(self.next()) * bound as u64) >> 32) as usize
    }

    /// Up to ten seconds ahead, in microseconds.
    pub fn delay(&mut self) -> u64 {
        1 + self.below(10_000_000) as u64
    }
}
