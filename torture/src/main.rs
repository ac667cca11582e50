//! Frames that mean harm, by the million, for the contract of a live conformance server: `cargo xtask torture`.
//!
//! Every frame is a good one that was damaged, at random and by its number (`frames.rs`). What the server owes for it
//! is decided by other people's parsers (`oracle.rs`). After each batch (`run.rs`):
//!
//! * each frame that carried a usable id has exactly one reply, and nothing else has one;
//! * connections that had to end have ended with the right code, and the others have not;
//! * an honest client in each format was served;
//! * the server lives, and has printed nothing, such as a panic.
//!
//! At the end its metrics say the same: no panic, as many frames that were none as the oracle says, and no connection
//! that is still open. Its memory has not grown since the warm-up by more than a constant.

mod connection;
mod damage;
mod frames;
mod ledger;
mod oracle;
mod random;
mod reply;
mod requests;
mod run;
mod server;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Result;
use clap::Parser;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use self::frames::{Frame, batch_end, format_of};
use self::run::{Failure, Run, Tally};
use self::server::Server;

/// How far the server's memory may grow from the warm-up to the end. It must not keep anything of every frame: eleven
/// bytes of each of a million would be more than this. What it may do is to touch for the first time what is used again
/// from then on, and all of that has bounds: for each of four connections an outbox of 1 MiB and 64 KiB that were read
/// ahead, for each worker 64 KiB to read into and to encode in, and what the allocator leaves between them.
const GROWTH_MAX: u64 = 8 * 1024 * 1024;

/// Fewer frames warm nothing up, so that their memory says nothing.
const WARM_UP_MIN: u64 = 10_000;

/// What rmpv takes for the deepest values it may read: its recursion takes some kilobytes for each level when it is not
/// optimised.
const STACK_BYTES: usize = 256 * 1024 * 1024;

/// Damaged frames for the contract of a live conformance server.
#[derive(Debug, Parser)]
struct Args {
    /// The server's program; it is started for this run alone.
    #[arg(long)]
    server: PathBuf,
    /// How many frames.
    #[arg(long, default_value_t = 1_000_000)]
    frames: u64,
    /// What the frames are made from; one is made up and printed unless given.
    #[arg(long)]
    seed: Option<u64>,
    /// The number of the first frame, to repeat a part of a run.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match on_a_deep_stack(|| torture(&args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs something that makes and judges frames.
fn on_a_deep_stack<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn torture(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(made_up);
    println!("torture: {} frames of seed {seed}, from number {}", HumanCount(args.frames), args.first);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut server = Server::start(&args.server)?;
    let end = args.first.saturating_add(args.frames);
    let tortured = runtime.block_on(send_all(&mut server, seed, args.first, end));
    let (tally, memory, took) = tortured.map_err(|failure| explained(seed, &failure))?;
    server.stop()?;
    print_summary(&tally, memory, took);
    Ok(())
}

/// The server's memory after the warm-up and at the end.
type Memory = Option<(u64, u64)>;

async fn send_all(
    server: &mut Server,
    seed: u64,
    first: u64,
    end: u64,
) -> Result<(Tally, Memory, Duration), Failure> {
    let everything = |why| Failure { why, frames: first..end };
    let start = Instant::now();
    let bar = progress(end - first);
    let mut run = Run::start(server, seed).await.map_err(everything)?;
    let (mut at, mut warm) = (first, None);
    let warm_up = first + (end - first) / 5;
    while at < end {
        let next = batch_end(at).min(end);
        run.batch(at..next).await?;
        bar.inc(next - at);
        at = next;
        if warm.is_none() && at >= warm_up {
            warm = run.server().resident_bytes();
        }
    }
    let memory = warm.zip(run.server().resident_bytes()).filter(|_| end - first >= WARM_UP_MIN);
    let tally = run.finish().await.map_err(everything)?;
    bar.finish_and_clear();
    check_growth(memory).map_err(everything)?;
    Ok((tally, memory, start.elapsed()))
}

fn check_growth(memory: Memory) -> Result<()> {
    let Some((warm, end)) = memory else { return Ok(()) };
    let grown = end.saturating_sub(warm);
    anyhow::ensure!(
        grown <= GROWTH_MAX,
        "the server's memory grew from {} after the warm-up to {}, by more than {}",
        HumanBytes(warm),
        HumanBytes(end),
        HumanBytes(GROWTH_MAX)
    );
    Ok(())
}

/// A bar for people; where there is no terminal nothing is drawn.
fn progress(frames: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:40} {percent} % {human_pos} frames, {per_sec}, {eta} left");
    ProgressBar::new(frames).with_style(style.expect("the template is one"))
}

fn print_summary(tally: &Tally, memory: Memory, took: Duration) {
    let Tally { frames, replies, sends, malformed, ends, hung_up, honest_calls } = *tally;
    let per_second = frames as f64 / took.as_secs_f64();
    println!("{} frames in {:.1} s, {per_second:.0} a second", HumanCount(frames), took.as_secs_f64());
    println!("  {} calls, each answered once", HumanCount(replies));
    println!("  {} sends that succeeded, none answered", HumanCount(sends));
    println!("  {} were no frames, none answered, each counted by the server", HumanCount(malformed));
    println!("  {} ended their connection, each with the right code", HumanCount(ends));
    println!("  {} were cut by hanging up", HumanCount(hung_up));
    println!("  {} honest calls in between, each answered", HumanCount(honest_calls));
    match memory {
        Some((warm, end)) => {
            println!("  memory: {} after the warm-up, {} at the end", HumanBytes(warm), HumanBytes(end))
        }
        None => println!("  memory: not compared, it takes {} frames and /proc", HumanCount(WARM_UP_MIN)),
    }
}

/// What happened, to which frames, and how to see it again.
fn explained(seed: u64, failure: &Failure) -> anyhow::Error {
    let Failure { why, frames } = failure;
    let count = frames.end - frames.start;
    if count <= frames::BATCH {
        // One frame is shown whole, of many each is shown in a line.
        let longest = if count == 1 { usize::MAX } else { 160 };
        for number in frames.clone() {
            let frame = Frame::new(seed, number);
            println!(
                "frame {number}, in {}, is owed {}",
                format_of(number),
                cut(format!("{:?}", frame.due), longest)
            );
            println!("  {}", cut(hex(&frame.wire), longest));
        }
    }
    let which = if count == 1 { format!("frame {}", frames.start) } else { format!("frames {frames:?}") };
    let dev = if cfg!(debug_assertions) { " --dev" } else { "" };
    let again = format!("cargo xtask torture{dev} --seed {seed} --first {} --frames {count}", frames.start);
    anyhow::anyhow!("{which} of seed {seed}: {why:#}\nrepeat it with: {again}")
}

/// The bytes as they went out, masked.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cut(text: String, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{} ...", &text[..end]),
        None => text,
    }
}

fn made_up() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| u64::from(now.subsec_nanos()))
}
