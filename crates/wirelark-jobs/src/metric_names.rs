//! Names of the counters, which go through the `metrics` facade. `queue` is a name from the code, and `schedule:` with a
//! schedule's name for its runs; no client can make one up.

/// Jobs stored: `queue`. One that was there already under its key is not counted.
pub const ENQUEUED: &str = "jobs.enqueued.total";
/// Attempts that ended: `queue`, `outcome` = done, failed, panicked, timed_out, interrupted (the server stopped).
pub const ATTEMPTS: &str = "jobs.attempts.total";
/// Jobs that failed for the last time: `queue`.
pub const DEAD: &str = "jobs.dead.total";
/// Attempts that run now (gauge): `queue`.
pub const RUNNING: &str = "jobs.running";
/// Fire times that were left out because earlier runs had not ended: `queue`.
pub const SKIPPED: &str = "jobs.schedules.skipped.total";
