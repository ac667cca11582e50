//! Masking: the definition of RFC 6455 section 5.3, byte by byte, is the reference.

use wirelark_proto::mask;

#[test]
fn masks_as_the_definition_says_for_every_length_and_offset() {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let plain: Vec<u8> = (0..=255).cycle().take(300).collect();
    for len in 0..plain.len() {
        for offset in 0..9 {
            let mut masked = plain[..len].to_vec();
            mask(&mut masked, key, offset);
            let expected: Vec<u8> =
                plain[..len].iter().enumerate().map(|(i, byte)| byte ^ key[(offset + i) % 4]).collect();
            assert_eq!(masked, expected, "length {len}, offset {offset}");
        }
    }
}

#[test]
fn masking_twice_changes_nothing() {
    let plain = b"the same call masks and unmasks".to_vec();
    let mut bytes = plain.clone();
    mask(&mut bytes, [1, 2, 3, 4], 3);
    assert_ne!(bytes, plain);
    mask(&mut bytes, [1, 2, 3, 4], 3);
    assert_eq!(bytes, plain);
}

#[test]
fn a_frame_can_be_unmasked_in_pieces() {
    let plain: Vec<u8> = (0..100).collect();
    let mut whole = plain.clone();
    mask(&mut whole, [9, 8, 7, 6], 0);
    for at in 0..=plain.len() {
        let mut pieces = plain.clone();
        let (first, second) = pieces.split_at_mut(at);
        mask(first, [9, 8, 7, 6], 0);
        mask(second, [9, 8, 7, 6], at);
        assert_eq!(pieces, whole, "cut at {at}");
    }
}

#[test]
fn the_alignment_of_the_payload_does_not_matter() {
    let plain: Vec<u8> = (0..80).collect();
    for start in 0..16 {
        let mut bytes = plain.clone();
        mask(&mut bytes[start..], [1, 2, 4, 8], 0);
        for (i, byte) in bytes[start..].iter().enumerate() {
            assert_eq!(*byte, plain[start + i] ^ [1, 2, 4, 8][i % 4]);
        }
    }
}

#[test]
fn a_zero_key_is_allowed_and_changes_nothing() {
    let mut bytes = vec![5; 40];
    mask(&mut bytes, [0; 4], 1);
    assert_eq!(bytes, vec![5; 40]);
}
