//! The sockets a shard watches for its connections: Linux. Elsewhere every connection is woken by its own stream.

#[cfg(target_os = "linux")]
mod watched {
    use std::io;
    use std::net::TcpStream;

    use crate::net::readiness::{Readiness, Ready};

    /// Made with the first socket: most hubs of tests have none.
    #[derive(Default)]
    pub(in crate::hub) struct Sockets(Option<Readiness>);

    impl Sockets {
        pub(in crate::hub) fn add(&mut self, socket: &TcpStream, token: u64) -> io::Result<()> {
            let readiness = match &self.0 {
                Some(readiness) => readiness,
                None => self.0.insert(Readiness::new()?),
            };
            readiness.add(socket, token)
        }

        /// Waits until a socket is ready.
        pub(in crate::hub) async fn changed(&self) {
            match &self.0 {
                Some(readiness) => readiness.changed().await,
                None => std::future::pending().await,
            }
        }

        /// Names sockets that are ready; true if more may be.
        pub(in crate::hub) fn take(&self, ready: impl FnMut(Ready)) -> bool {
            self.0.as_ref().is_some_and(|readiness| readiness.take(ready))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod watched {
    use std::io;
    use std::net::TcpStream;

    #[derive(Default)]
    pub(in crate::hub) struct Sockets;

    pub(in crate::hub) struct Ready {
        pub(in crate::hub) token: u64,
        pub(in crate::hub) hung_up: bool,
    }

    impl Sockets {
        pub(in crate::hub) fn add(&mut self, _: &TcpStream, _: u64) -> io::Result<()> {
            Err(io::ErrorKind::Unsupported.into())
        }

        pub(in crate::hub) async fn changed(&self) {
            std::future::pending().await
        }

        pub(in crate::hub) fn take(&self, _: impl FnMut(Ready)) -> bool {
            false
        }
    }
}

pub(super) use self::watched::Sockets;
