//! Where what is sent is put together: a buffer of the thread, so that each message takes one allocation of its own
//! size.

use std::cell::RefCell;

use bytes::Bytes;

/// Largest buffer a thread keeps for encoding.
const KEPT_BYTES: usize = 64 * 1024;

thread_local! {
    static ENCODED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What `encode` writes.
pub(super) fn encoded<E>(encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Bytes, E> {
    // Taken out and not borrowed: a type may do what it likes while it is serialised.
    let mut buffer = ENCODED.take();
    buffer.clear();
    let encoded = encode(&mut buffer).map(|()| Bytes::copy_from_slice(&buffer));
    if buffer.capacity() <= KEPT_BYTES {
        ENCODED.set(buffer);
    }
    encoded
}
