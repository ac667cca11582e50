//! What is done to the bytes of an encoded message.

use wirelark_proto::contract::Format;

use crate::random::Random;

/// Does one thing to the bytes. `other` is another good message, to take a part of.
pub(crate) fn damage(random: &mut Random, format: Format, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len());
    match random.below(8) {
        0..=1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        2 if !bytes.is_empty() => bytes[at] = random.next() as u8,
        3 => bytes.truncate(at),
        4 => drop(bytes.drain(random.part(bytes.len()))),
        5 => {
            let part = bytes[random.part(bytes.len())].to_vec();
            bytes.splice(at..at, part);
        }
        6 => {
            let part = &other[random.part(other.len())];
            let end = random.part(bytes.len() - at).end;
            bytes.splice(at..at + end, part.iter().copied());
        }
        _ => match format {
            Format::Json => write_oddly(random, bytes),
            Format::MsgPack => lie_about_a_length(random, bytes),
        },
    }
}

/// Puts a number, an escape or a whitespace that JSON has, or just does not have, in the place of a digit; or arrays in
/// arrays, far deeper than anything that recurses would survive.
fn write_oddly(random: &mut Random, bytes: &mut Vec<u8>) {
    const ODDITIES: [&str; 20] = [
        "1e999",
        "-1e999",
        "1e-999",
        "0.1e1",
        "10E-1",
        "01",
        "-0",
        "+1",
        "0x1",
        "1.",
        ".1",
        "NaN",
        "Infinity",
        "-",
        " 1 ",
        "\t1\r\n",
        "\u{c}1",
        "\"\\u0031\"",
        "\"\\ud83e\"",
        "99999999999999999999999999999999999999999999",
    ];
    let digits: Vec<_> = bytes.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).collect();
    let at = digits.get(random.below(digits.len())).map_or(bytes.len(), |(at, _)| *at);
    let end = (at + 1).min(bytes.len());
    if random.chance(ODDITIES.len()) {
        let depth = random.below(20_000);
        bytes.splice(at..end, [b"[".repeat(depth), b"]".repeat(depth)].concat());
    } else {
        bytes.splice(at..end, random.pick(&ODDITIES).bytes());
    }
}

/// Puts the head of an array, a map, a text or bytes in the place of a byte, whatever follows.
fn lie_about_a_length(random: &mut Random, bytes: &mut Vec<u8>) {
    const LIES: [&[u8]; 14] = [
        b"\xdf\xff\xff\xff\xff",
        b"\xdd\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x00",
        b"\xdd\x00\x10\x00\x00",
        b"\xde\xff\xff",
        b"\xdc\xff\xff",
        b"\xda\x40\x00",
        b"\xde\x00\x05",
        b"\x8f",
        b"\x9f",
        b"\xbf",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let at = random.below(bytes.len());
    let end = (at + 1).min(bytes.len());
    bytes.splice(at..end, random.pick(&LIES).iter().copied());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_can_be_damaged_and_most_of_it_is() {
        for format in [Format::Json, Format::MsgPack] {
            let mut changed = 0;
            for number in 0..4_000 {
                let mut random = Random::new(1, number);
                let good = random.bytes(number as usize % 40);
                let mut bytes = good.clone();
                damage(&mut random, format, &mut bytes, b"another message");
                changed += usize::from(bytes != good);
            }
            assert!(changed > 3_500, "{changed} of 4000");
        }
    }
}
