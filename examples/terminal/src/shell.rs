//! Shells on ptys. Whatever ends one, it is hung up on and waited for: no shell outlives its terminal.
//!
//! A pty is read and written with calls that block, so each shell has three threads: one that reads, one that types, and one
//! that waits until the shell has to end. What lies between them and the socket is bounded.

use std::env;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time;

/// How many shells there may be: each is three threads of the server, and whatever is started in it.
pub(crate) const SHELLS_MAX: u32 = 8;

/// Reads, of at most so many bytes each, that wait for the socket. When there is no room, nobody reads, the pty fills, and
/// whatever writes into it waits.
const OUTPUT_READS: usize = 4;
const READ_BYTES: usize = 16 * 1024;

/// Messages that wait to be typed. A shell that reads nothing stops its socket from being read.
const INPUT_MESSAGES: usize = 4;

/// The places there are for shells. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Shells {
    places: Arc<Semaphore>,
}

impl Default for Shells {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(SHELLS_MAX as usize)) }
    }
}

impl Shells {
    /// A place for one, until it has ended; none if all are taken.
    pub(crate) fn place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits until no shell is left: a server that ends before leaves some behind that are hung up on by the kernel, and do
    /// not all mind that.
    pub async fn ended(&self) {
        // An error says that the semaphore is closed, which nobody does.
        let _ = self.places.acquire_many(SHELLS_MAX).await;
    }
}

/// The right to a shell, until it is dropped.
pub(crate) type Place = OwnedSemaphorePermit;

/// Columns and rows of a terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(try_from = "(u16, u16)")]
pub(crate) struct Size {
    columns: u16,
    rows: u16,
}

impl TryFrom<(u16, u16)> for Size {
    type Error = &'static str;

    fn try_from((columns, rows): (u16, u16)) -> Result<Self, Self::Error> {
        if (1..=1000).contains(&columns) && (1..=1000).contains(&rows) {
            Ok(Self { columns, rows })
        } else {
            Err("a terminal has 1 to 1000 columns and 1 to 1000 rows")
        }
    }
}

impl From<Size> for PtySize {
    fn from(Size { columns, rows }: Size) -> Self {
        Self { cols: columns, rows, pixel_width: 0, pixel_height: 0 }
    }
}

/// A shell that runs: what it shows, what is done to it, and itself.
pub(crate) struct Shell {
    /// What it shows. Ends when nothing can write to the pty any more, as a rule because the shell has ended.
    pub(crate) output: mpsc::Receiver<Bytes>,
    pub(crate) controls: Controls,
    pub(crate) process: Process,
}

impl Shell {
    /// Starts the user's own shell, where the server was started.
    pub(crate) fn start(size: Size, place: Place) -> anyhow::Result<Self> {
        let pty = native_pty_system().openpty(size.into())?;
        let (reader, writer) = (pty.master.try_clone_reader()?, pty.master.take_writer()?);
        let (output_sender, output) = mpsc::channel(OUTPUT_READS);
        let (input, typed) = mpsc::channel(INPUT_MESSAGES);
        let (ending, ended) = oneshot::channel();
        let (undertaker, to_bury) = oneshot::channel();

        // The threads first: without them nobody could see to the end of the shell.
        spawn("pty-read", move || read(reader, &output_sender))?;
        spawn("pty-write", move || write(writer, typed, ended))?;
        spawn("pty-wait", move || bury(to_bury, ending, place))?;

        let mut command = CommandBuilder::new_default_prog();
        command.cwd(env::current_dir()?);
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        let child = pty.slave.spawn_command(command).context("the shell cannot be started")?;
        let process = Process { child: Some(child), undertaker: Some(undertaker) };
        Ok(Self { output, controls: Controls { master: pty.master, input }, process })
    }
}

/// What is done to a shell.
pub(crate) struct Controls {
    master: Box<dyn MasterPty + Send>,
    input: mpsc::Sender<Bytes>,
}

impl Controls {
    /// Types. Waits while the shell does not read; does nothing once it has ended.
    pub(crate) async fn write(&mut self, bytes: Bytes) {
        let _ = self.input.send(bytes).await;
    }

    pub(crate) fn resize(&self, size: Size) -> anyhow::Result<()> {
        self.master.resize(size.into())
    }
}

/// The shell's process. Dropped, it is hung up on: with `SIGHUP`, as terminals do, and when it does not mind that with
/// `SIGKILL`.
pub(crate) struct Process {
    child: Option<BoxedChild>,
    undertaker: Option<oneshot::Sender<BoxedChild>>,
}

type BoxedChild = Box<dyn Child + Send + Sync>;

impl Process {
    /// Waits for its end. To be called once the output has ended, which nearly always is the same moment.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let child = self.child.as_mut().expect("it is there until it is dropped");
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (Some(child), Some(undertaker)) = (self.child.take(), self.undertaker.take()) {
            // It waits for this from the start.
            let _ = undertaker.send(child);
        }
    }
}

/// Reads until nobody can write to the pty any more, or nobody wants to know.
fn read(mut pty: Box<dyn Read + Send>, output: &mpsc::Sender<Bytes>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match pty.read(&mut buffer) {
            Ok(bytes @ 1..) if output.blocking_send(Bytes::copy_from_slice(&buffer[..bytes])).is_ok() => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // On Linux the end of a pty is an error.
            Ok(_) | Err(_) => return,
        }
    }
}

/// Types until nobody has anything to type, and lets go of the pty when the shell has ended.
fn write(mut pty: Box<dyn Write + Send>, mut typed: mpsc::Receiver<Bytes>, ended: oneshot::Receiver<()>) {
    while let Some(bytes) = typed.blocking_recv() {
        if pty.write_all(&bytes).is_err() {
            break;
        }
    }
    // Not before: this writer types a newline as it is dropped, and a command that was half typed when its page was closed
    // would run.
    let _ = ended.blocking_recv();
}

/// Waits for a shell that has to end, and sees to it. None comes if it could not be started.
fn bury(dying: oneshot::Receiver<BoxedChild>, ending: oneshot::Sender<()>, place: Place) {
    if let Ok(mut child) = dying.blocking_recv() {
        // Whoever has been waited for has no process any more, and its number may be somebody else's.
        if !matches!(child.try_wait(), Ok(Some(_))) {
            let end = child.kill().and_then(|()| child.wait());
            if let Err(error) = end {
                tracing::error!(%error, process = child.process_id(), "a shell cannot be ended");
            }
        }
    }
    drop(ending);
    drop(place);
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    match thread::Builder::new().name(name.to_owned()).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => bail!("there is no thread for a shell: {error}"),
    }
}
