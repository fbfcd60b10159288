//! Text for a person, without the machinery of `core::fmt`, which is 2 KiB.

/// Writes text by what takes bytes.
pub struct Text<F>(F);

impl<F: FnMut(&[u8])> Text<F> {
    /// Text that goes to `put`.
    pub fn new(put: F) -> Self {
        Self(put)
    }

    /// These words.
    pub fn text(&mut self, text: &str) -> &mut Self {
        (self.0)(text.as_bytes());
        self
    }

    /// A number in decimal.
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
        let (_, digits) = digits.split_at(digits.len() - len);
        (self.0)(digits);
        self
    }

    /// A number in hexadecimal, all eight digits.
    pub fn hex(&mut self, number: u32) -> &mut Self {
        for shift in (0..8).rev() {
            let digit = (number >> (shift * 4) & 15) as u8;
            (self.0)(&[digit + if digit < 10 { b'0' } else { b'a' - 10 }]);
        }
        self
    }
}
