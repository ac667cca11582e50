//! Telling the app that a user is online or offline.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::timeout;

use super::Hub;
use super::users::Change;

/// How long a user without connections counts as online, unless set.
const GRACE: Duration = Duration::from_secs(5);

/// How long one run of a hook may take.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs that may wait for one user's earlier ones. Only hooks that take longer than their users stay away get there.
const WAITING_MAX: usize = 16;

type Run = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is called with a user's id, and the run it begins.
pub(crate) type UserHook = Arc<dyn Fn(String, Hub) -> Run + Send + Sync>;

/// Who hears of users that come and go, and how long they may be away without having gone.
#[derive(Clone)]
pub(crate) struct UserHooks {
    pub(crate) online: Option<UserHook>,
    pub(crate) offline: Option<UserHook>,
    pub(crate) grace: Duration,
}

impl Default for UserHooks {
    fn default() -> Self {
        Self { online: None, offline: None, grace: GRACE }
    }
}

impl UserHooks {
    pub(super) fn are_set(&self) -> bool {
        self.online.is_some() || self.offline.is_some()
    }

    fn of(&self, change: Change) -> Option<&UserHook> {
        match change {
            Change::Online => self.online.as_ref(),
            Change::Offline => self.offline.as_ref(),
        }
    }
}

/// The hooks, and their runs: those of one user one after the other, those of several at the same time. A user has an
/// entry for as long as something runs.
pub(super) struct Telling {
    hooks: UserHooks,
    waiting: Mutex<HashMap<Box<str>, VecDeque<Run>>>,
}

impl Telling {
    pub(super) fn new(hooks: UserHooks) -> Self {
        Self { hooks, waiting: Mutex::default() }
    }
}

impl Hub {
    /// Calls the hook, here and now, and has the run it begins take place in a task.
    pub(super) fn tell(&self, user: &str, change: Change) {
        let Some(hook) = self.inner.telling.hooks.of(change) else { return };
        match catch_unwind(AssertUnwindSafe(|| hook(user.to_owned(), self.clone()))) {
            Ok(run) => self.run_in_turn(user, run),
            Err(_) => tracing::error!(user, ?change, "the hook of a user panicked"),
        }
    }

    fn run_in_turn(&self, user: &str, run: Run) {
        let mut waiting = self.inner.telling.waiting.lock();
        match waiting.entry(user.into()) {
            Entry::Occupied(runs) if runs.get().len() >= WAITING_MAX => {
                tracing::error!(
                    user,
                    "a run of a user's hook was dropped: {WAITING_MAX} before it have not ended"
                );
            }
            Entry::Occupied(mut runs) => runs.get_mut().push_back(run),
            Entry::Vacant(vacant) => {
                vacant.insert(VecDeque::new());
                let (hub, user) = (self.clone(), Box::from(user));
                let stopped = self.inner.stopped.clone();
                self.spawn(async move {
                    stopped.run_until_cancelled(hub.run_all(user, run)).await;
                });
            }
        }
    }

    async fn run_all(&self, user: Box<str>, first: Run) {
        let mut next = Some(first);
        while let Some(run) = next {
            match timeout(HOOK_TIMEOUT, AssertUnwindSafe(run).catch_unwind()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => tracing::error!(user = &*user, "the hook of a user panicked"),
                Err(_) => {
                    tracing::error!(user = &*user, "the hook of a user took longer than {HOOK_TIMEOUT:?}")
                }
            }
            let mut waiting = self.inner.telling.waiting.lock();
            next = waiting.get_mut(&user).and_then(VecDeque::pop_front);
            if next.is_none() {
                waiting.remove(&user);
            }
        }
    }
}
