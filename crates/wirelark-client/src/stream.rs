//! Pushes for a reader that takes its time.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use parking_lot::Mutex;

use crate::listeners::{Heard, Subscription};

/// The pushes of one name, in the order in which they arrived; see [`Client::pushes`](crate::Client::pushes).
///
/// It holds a bounded number of them. When its reader is behind, the oldest makes room for the newest, is counted
/// by [`lagged`](Self::lagged) and reported. It ends when the client is closed, and not while it reconnects: what is
/// pushed in between is lost without a count.
///
/// # Cancel safety
/// A `next` that is dropped has taken nothing.
pub struct PushStream<T> {
    queue: Arc<Mutex<Queue<T>>>,
    _subscription: Subscription,
}

struct Queue<T> {
    items: VecDeque<T>,
    len_max: usize,
    lagged: u64,
    /// Whether the reader has not caught up since a push was dropped.
    behind: bool,
    ended: bool,
    reader: Option<Waker>,
}

/// The end that pushes go into.
pub(crate) struct Inlet<T>(Arc<Mutex<Queue<T>>>);

/// Both ends of a queue that holds up to `len_max` pushes.
pub(crate) fn queue<T>(len_max: NonZeroUsize) -> (Inlet<T>, Outlet<T>) {
    let queue = Queue {
        items: VecDeque::new(),
        len_max: len_max.get(),
        lagged: 0,
        behind: false,
        ended: false,
        reader: None,
    };
    let queue = Arc::new(Mutex::new(queue));
    (Inlet(Arc::clone(&queue)), Outlet(queue))
}

/// The end that pushes come out of, before it is subscribed.
pub(crate) struct Outlet<T>(Arc<Mutex<Queue<T>>>);

impl<T> Outlet<T> {
    pub(crate) fn into_stream(self, subscription: Subscription) -> PushStream<T> {
        PushStream { queue: self.0, _subscription: subscription }
    }
}

impl<T> Inlet<T> {
    pub(crate) fn push(&mut self, item: T) -> Heard {
        let mut queue = self.0.lock();
        let dropped = (queue.items.len() == queue.len_max).then(|| queue.items.pop_front()).flatten();
        queue.items.push_back(item);
        let heard = match dropped {
            None => Heard::More,
            Some(_) => {
                queue.lagged += 1;
                if std::mem::replace(&mut queue.behind, true) { Heard::More } else { Heard::Lagged }
            }
        };
        let reader = queue.reader.take();
        drop(queue);
        // Neither a waker nor what was dropped belongs to us: both run without our lock.
        reader.inspect(Waker::wake_by_ref);
        drop(dropped);
        heard
    }
}

impl<T> Drop for Inlet<T> {
    fn drop(&mut self) {
        let reader = {
            let mut queue = self.0.lock();
            queue.ended = true;
            queue.reader.take()
        };
        reader.inspect(Waker::wake_by_ref);
    }
}

impl<T> PushStream<T> {
    /// The next push; `None` once the client is closed and everything before that was taken.
    pub async fn next(&mut self) -> Option<T> {
        poll_fn(|cx| self.poll_item(cx)).await
    }

    /// How many pushes were dropped since this was asked last, because they came faster than they were taken.
    pub fn lagged(&mut self) -> u64 {
        std::mem::take(&mut self.queue.lock().lagged)
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut queue = self.queue.lock();
        if let Some(item) = queue.items.pop_front() {
            queue.behind &= !queue.items.is_empty();
            return Poll::Ready(Some(item));
        }
        if queue.ended {
            return Poll::Ready(None);
        }
        queue.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Stream for PushStream<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.get_mut().poll_item(cx)
    }
}

impl<T> fmt::Debug for PushStream<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = self.queue.lock();
        f.debug_struct("PushStream")
            .field("waiting", &queue.items.len())
            .field("ended", &queue.ended)
            .finish()
    }
}
