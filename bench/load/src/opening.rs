//! Opens many connections, a bounded number of them at the same time: a server's backlog is short, and a queue in
//! front of it would measure the kernel's retries.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use anyhow::{Result, bail};

use crate::cases::Generator;
use crate::connection::{Connection, Target};

/// How many connections are being opened, or exchange a message in the idle case, at the same time.
pub const AT_ONCE: usize = 64;

impl Generator {
    /// Opens `count` connections; they are numbered from 0, in the poller too.
    pub fn open(&mut self, count: usize) -> Result<Vec<Connection>> {
        self.open_each(count, |target, _| Cow::Borrowed(target), |_| bail!("a message nobody asked for"))
    }

    /// The same, each to a target of its own, while the server may talk to those that are open.
    pub fn open_each(
        &mut self,
        count: usize,
        of: impl Fn(&Target, usize) -> Cow<'_, Target>,
        mut on_payload: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(count);
        let mut opened = 0;
        while opened < count {
            while connections.len() < count && connections.len() - opened < AT_ONCE {
                let slot = connections.len();
                let target = of(&self.target, slot);
                connections.push(Connection::start(&target, Ipv4Addr::LOCALHOST, slot, &self.poller)?);
            }
            self.poller.wait(&mut self.ready)?;
            for ready in &self.ready {
                let connection = &mut connections[ready.slot];
                let was_open = connection.is_open();
                connection.receive(&mut self.scratch, &self.poller, &mut on_payload)?;
                opened += usize::from(connection.is_open() && !was_open);
            }
        }
        Ok(connections)
    }
}
