//! Text for a person, without the machinery of `core::fmt`, which is 2 KiB.

/// Writes text by what takes bytes.
pub struct Text<F>(F);

impl<F: FnMut(&[u8])> Text<F> {
    /// Text that goes to `put`.
    pub fn new(put: F) -> Self {
        Self(put)
    }

    /// These words.
    #[inline(never)]
    pub fn text(&mut self, text: &str) -> &mut Self {
        (self.0)(text.as_bytes());
        self
    }

    /// A number in decimal.
    #[inline(never)]
    pub fn number(&mut self, mut number: u32) -> &mut Self {
        let mut digits = [0; 10];
        let mut len = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            len += 1;
            if number == 0 {
                break;
            }
        }
        // Nothing here may panic: a panic is told by this, and a circle keeps every message in the image.
        (self.0)(digits.get(digits.len() - len..).unwrap_or_default());
        self
    }

    /// A number in hexadecimal, all eight digits.
    #[inline(never)]
    pub fn hex(&mut self, number: u32) -> &mut Self {
        for shift in (0..8).rev() {
            let digit = (number >> (shift * 4) & 15) as u8;
            (self.0)(&[digit + if digit < 10 { b'0' } else { b'a' - 10 }]);
        }
        self
    }
}
