//! Punycode (RFC 3492): a text beyond ASCII, in lower-case letters, digits and hyphens.

use super::label::Label;
use crate::url::IdnaError;

const BASE: u32 = 36;
const FIRST: u32 = 128;
const FIRST_BIAS: u32 = 72;

/// How large the digit at place `k`, counted in steps of [`BASE`], must be for another to follow.
fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(1, 26)
}

fn adapted(delta: u32, points: u32, is_first: bool) -> u32 {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    // There is one point at least.
    delta += delta.checked_div(points).unwrap_or(0);
    let mut k = 0;
    while delta > 455 {
        delta /= 35;
        k += BASE;
    }
    k + 36 * delta / (delta + 38)
}

/// Puts the text that `ascii` stands for into `label`. ASCII alone, which nobody need encode, is refused.
pub(super) fn decode(ascii: &[u8], label: &mut Label) -> Result<(), IdnaError> {
    let mut halves = ascii.rsplitn(2, |byte| *byte == b'-');
    let digits = halves.next().unwrap_or_default();
    label.clear();
    for byte in halves.next().unwrap_or_default() {
        label.push(char::from(*byte))?;
    }
    if digits.is_empty() {
        return Err(IdnaError::Invalid);
    }
    let mut digits = digits.iter();
    let (mut code, mut at, mut bias) = (FIRST, 0_u32, FIRST_BIAS);
    while !digits.as_slice().is_empty() {
        let (before, mut weight, mut k) = (at, 1_u32, BASE);
        loop {
            let digit = match digits.next() {
                Some(letter @ b'a'..=b'z') => u32::from(letter - b'a'),
                Some(number @ b'0'..=b'9') => u32::from(number - b'0') + 26,
                _ => return Err(IdnaError::Invalid),
            };
            at = digit.checked_mul(weight).and_then(|step| at.checked_add(step)).ok_or(IdnaError::Invalid)?;
            let threshold = threshold(k, bias);
            if digit < threshold {
                break;
            }
            weight = weight.checked_mul(BASE - threshold).ok_or(IdnaError::Invalid)?;
            k += BASE;
        }
        let points = label.chars().len() as u32 + 1;
        bias = adapted(at - before, points, before == 0);
        let rounds = at.checked_div(points).unwrap_or(0);
        at -= rounds * points;
        code = code.checked_add(rounds).ok_or(IdnaError::Invalid)?;
        label.insert(at as usize, char::from_u32(code).ok_or(IdnaError::Invalid)?)?;
        at += 1;
    }
    Ok(())
}

/// Gives the Punycode of `chars` to `put`, byte by byte. They are at most as many as a [`Label`] holds, so nothing overflows.
pub(super) fn encode(chars: &[char], mut put: impl FnMut(u8) -> Result<(), IdnaError>) -> Result<(), IdnaError> {
    let mut done = 0;
    for c in chars.iter().filter(|c| c.is_ascii()) {
        put(*c as u8)?;
        done += 1;
    }
    let basic = done;
    if basic > 0 {
        put(b'-')?;
    }
    let (mut code, mut delta, mut bias) = (FIRST, 0_u32, FIRST_BIAS);
    while let Some(next) = chars.iter().map(|c| u32::from(*c)).filter(|c| *c >= code).min() {
        delta += (next - code) * (done + 1);
        for c in chars.iter().map(|c| u32::from(*c)) {
            if c < next {
                delta += 1;
            }
            if c == next {
                let (mut rest, mut k) = (delta, BASE);
                loop {
                    let threshold = threshold(k, bias);
                    if rest < threshold {
                        break;
                    }
                    rest -= threshold;
                    let base = BASE - threshold;
                    put(digit(threshold + rest.checked_rem(base).unwrap_or(0)))?;
                    rest = rest.checked_div(base).unwrap_or(0);
                    k += BASE;
                }
                put(digit(rest))?;
                bias = adapted(delta, done + 1, done == basic);
                delta = 0;
                done += 1;
            }
        }
        delta += 1;
        code = next + 1;
    }
    Ok(())
}

const fn digit(value: u32) -> u8 {
    if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 }
}
