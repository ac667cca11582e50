//! The client against a server that does what each test tells it to, in memory and under a paused clock.

mod calls;
mod chaos;
mod connect;
mod fake;
mod pushes;
mod rates;
mod reconnect;
