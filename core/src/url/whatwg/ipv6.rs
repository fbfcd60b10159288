//! IPv6 addresses in brackets (URL Standard, "IPv6 parser" and "IPv6 serializer"). The form written is that of RFC 5952 but for
//! addresses that hold an IPv4 one, which the Standard writes in hexadecimal as well.

use super::out::Out;

/// The address in `text`, which goes on to the closing bracket and ends there.
pub(super) fn parse(text: impl Iterator<Item = u8>) -> Option<[u16; 8]> {
    let mut text = text.peekable();
    let mut pieces = [0; 8];
    let mut count = 0;
    // Where the two colons stood.
    let mut gap = None;
    if text.peek() == Some(&b':') {
        text.next();
        if text.next() != Some(b':') {
            return None;
        }
        gap = Some(0);
    }
    while let Some(byte) = text.peek().copied() {
        if byte == b']' {
            break;
        }
        if byte == b':' {
            // The second of two, in the middle.
            text.next();
            if gap.replace(count).is_some() {
                return None;
            }
            continue;
        }
        let (mut value, mut decimal, mut len) = (0_u16, Some(0_u16), 0);
        while let Some(digit) = text.peek().and_then(|byte| char::from(*byte).to_digit(16)) {
            // A fifth digit, or a leading zero of a decimal number.
            if len == 4 {
                return None;
            }
            decimal =
                decimal.filter(|sofar| digit < 10 && !(len > 0 && *sofar == 0)).map(|sofar| sofar * 10 + digit as u16);
            value = value << 4 | digit as u16;
            len += 1;
            text.next();
        }
        if len == 0 {
            return None;
        }
        if text.peek() == Some(&b'.') {
            // The first of the four numbers that fill two pieces at the end.
            let mut address = [decimal?, 0, 0, 0];
            for number in &mut address[1..] {
                if text.next() != Some(b'.') {
                    return None;
                }
                *number = octet(&mut text)?;
            }
            if address.iter().any(|number| *number > 255) || text.peek() != Some(&b']') {
                return None;
            }
            let [a, b, c, d] = address;
            *pieces.get_mut(count)? = a << 8 | b;
            *pieces.get_mut(count + 1)? = c << 8 | d;
            count += 2;
            break;
        }
        *pieces.get_mut(count)? = value;
        count += 1;
        match text.peek() {
            Some(b']') => break,
            Some(b':') => {
                text.next();
                // Something must follow: another piece, or a colon.
                if text.peek() == Some(&b']') {
                    return None;
                }
            }
            _ => return None,
        }
    }
    if text.next() != Some(b']') || text.next().is_some() {
        return None;
    }
    match gap {
        // The colons stand for one piece of zero at least.
        Some(gap) if count < 8 => {
            let zeros = 8 - count;
            let mut whole = [0; 8];
            for (at, piece) in pieces.into_iter().take(count).enumerate() {
                *whole.get_mut(if at < gap { at } else { at + zeros })? = piece;
            }
            Some(whole)
        }
        None if count == 8 => Some(pieces),
        _ => None,
    }
}

/// A decimal number of up to three digits without a leading zero.
fn octet(text: &mut core::iter::Peekable<impl Iterator<Item = u8>>) -> Option<u16> {
    let (mut value, mut len) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = text.peek().copied() {
        if len > 0 && value == 0 || len == 3 {
            return None;
        }
        value = value * 10 + u16::from(digit - b'0');
        len += 1;
        text.next();
    }
    (len > 0).then_some(value)
}

/// Writes `address` in brackets, with the first of its longest runs of zeros, of two at least, as two colons.
pub(super) fn write(address: &[u16; 8], out: &mut Out<'_>) {
    let (mut run, mut longest) = (0, (0, 1));
    for (at, piece) in address.iter().enumerate() {
        run = if *piece == 0 { run + 1 } else { 0 };
        if run > longest.1 {
            longest = (at + 1 - run, run);
        }
    }
    let (gap, len) = if longest.1 > 1 { longest } else { (8, 0) };
    out.push(b'[');
    for (at, piece) in address.iter().enumerate() {
        if at == gap {
            out.text(if at == 0 { b"::" } else { b":" });
        }
        if at >= gap && at < gap + len {
            continue;
        }
        out.hexadecimal(*piece);
        if at < 7 {
            out.push(b':');
        }
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::format;
    use std::net::Ipv6Addr;
    use std::string::ToString;

    fn parsed(text: &str) -> Option<[u16; 8]> {
        parse(text.bytes().chain([b']']))
    }

    fn written(address: [u16; 8]) -> std::string::String {
        let mut buffer = [0; 41];
        let mut out = Out::new(&mut buffer);
        write(&address, &mut out);
        let len = out.len;
        str::from_utf8(&buffer[..len]).unwrap().into()
    }

    #[test]
    fn an_ipv4_address_inside_is_written_in_hexadecimal() {
        let address = parsed("::ffff:1.2.3.4").unwrap();
        assert_eq!(written(address), "[::ffff:102:304]");
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_std_takes(text in "([0-9a-fA-F]{0,5}(::|:|\\.)){0,9}[0-9a-f]{0,5}") {
            let expected = text.parse::<Ipv6Addr>().ok().map(|address| address.segments());
            prop_assert_eq!(parsed(&text), expected, "{}", text);
        }

        #[test]
        fn ipv4_at_the_end_is_what_std_takes(text in "(::|1:|f:|::ffff:){1,6}[0-9]{1,3}\\.[0-2]{1,4}\\.[0-9]{1,3}\\.[0-9]{0,3}") {
            let expected = text.parse::<Ipv6Addr>().ok().map(|address| address.segments());
            prop_assert_eq!(parsed(&text), expected, "{}", text);
        }

        #[test]
        fn what_is_written_is_what_std_writes(address in prop::array::uniform8(prop_oneof![Just(0), any::<u16>()])) {
            let std = Ipv6Addr::from(address).to_string();
            if !std.contains('.') {
                prop_assert_eq!(written(address), format!("[{std}]"));
            }
        }
    }
}
