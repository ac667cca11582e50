//! Floor 1: bytes in, bytes out. Knows TCP, TLS and pipes; knows no frames.

#[cfg(feature = "testing")]
pub(crate) mod pipe;
#[cfg(target_os = "linux")]
pub(crate) mod readiness;
pub(crate) mod socket_options;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod wire;
pub(crate) mod withheld;
