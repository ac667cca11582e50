//! Messages that go to the same connections at once.

use std::sync::Arc;

use wirelark_proto::Frame;

use super::Connection;
use super::outbound::Wish;
use super::outbox::{ConflationKey, GATHER_BYTES};
use crate::observe::Traffic;
use crate::shared_frame::SharedFrame;

/// Shared frames in order, and, if they are small, their bytes put together once for all receivers. A
/// connection that keeps up is then written to without its outbox being touched.
#[derive(Debug)]
pub(crate) struct Burst {
    frames: Vec<(Arc<SharedFrame>, Option<ConflationKey>)>,
    joined: Option<Vec<u8>>,
    traffic: Traffic,
    /// Payload bytes of the largest.
    largest: usize,
}

impl Burst {
    pub(crate) fn new(frames: Vec<(Arc<SharedFrame>, Option<ConflationKey>)>) -> Self {
        let bytes: usize = frames.iter().map(|(frame, _)| frame.len()).sum();
        let joined = (bytes <= GATHER_BYTES).then(|| {
            let mut joined = Vec::with_capacity(bytes);
            for (frame, _) in &frames {
                let plain = frame.plain();
                joined.extend_from_slice(plain.head.as_slice());
                joined.extend_from_slice(&plain.payload);
            }
            joined
        });
        let mut traffic = Traffic::default();
        let mut largest = 0;
        for (frame, _) in &frames {
            traffic.add(frame.kind(), frame.payload_len());
            largest = largest.max(frame.payload_len());
        }
        Self { frames, joined, traffic, largest }
    }

    pub(crate) fn len(&self) -> usize {
        self.frames.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SharedFrame, Option<ConflationKey>)> {
        self.frames.iter().map(|(frame, key)| (&**frame, *key))
    }

    /// Whether the connection can be sent each of the frames.
    pub(super) fn is_for(&self, connection: &Connection) -> bool {
        self.frames.iter().all(|(frame, _)| connection.speaks(frame))
    }

    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// The bytes of all frames, uncompressed, if they are few.
    pub(super) fn joined(&self) -> Option<&[u8]> {
        self.joined.as_deref()
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// The pushes among the frames.
    pub(super) fn pushes(&self) -> impl Iterator<Item = u16> {
        self.frames.iter().filter_map(|(frame, _)| frame.push_class()).map(|class| class.index)
    }

    /// The frames as they are offered, with what is asked for each.
    pub(super) fn plain(&self) -> impl Iterator<Item = (Frame, Wish)> {
        self.iter().map(|(frame, key)| {
            let wish = frame.push_class().map_or(Wish::Plain(key), |class| Wish::Push(*class));
            (frame.plain(), wish)
        })
    }
}
