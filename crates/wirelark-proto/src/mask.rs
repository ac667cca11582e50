//! Masking (RFC 6455 section 5.3): an exclusive-or with a repeating four-byte key. The same call masks and
//! unmasks.

/// Masks or unmasks `payload` in place.
///
/// `offset` is how many payload bytes of the same frame came before this piece, so that a frame can be
/// unmasked as it arrives: byte `i` of the piece meets key byte `(offset + i) % 4`.
#[inline]
pub fn mask(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let key = rotate(key, offset);
    // Eight bytes at a time in plain safe code: the compiler turns the loop into vector instructions, and
    // what it leaves is at most seven bytes.
    let wide = u64::from_ne_bytes([key[0], key[1], key[2], key[3], key[0], key[1], key[2], key[3]]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (index, byte) in rest.iter_mut().enumerate() {
        *byte ^= key[index & 3];
    }
}

/// The key as the byte at `offset` sees it: what a frame keeps between two pieces instead of an offset.
#[inline]
pub(crate) fn rotate(mut key: [u8; 4], offset: usize) -> [u8; 4] {
    key.rotate_left(offset & 3);
    key
}
