//! A client that takes broken connections for what they are: no answer.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::report::Tally;
use crate::http::{self, Reply, Stream};

/// How long an operation may take in all, with daemons dying under it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two tries, when nobody listens.
const PAUSE: Duration = Duration::from_millis(5);

/// A client with an opinion on what it should be told.
#[derive(Debug)]
pub(super) struct Caller {
    socket: PathBuf,
    number: u32,
    random: u64,
    names: u64,
    pub(super) tally: Tally,
}

impl Caller {
    pub(super) fn new(socket: PathBuf, number: u32, seed: u64) -> Self {
        let random = (seed ^ (u64::from(number) << 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { socket, number, random, names: 0, tally: Tally::default() }
    }

    /// A number below `end`. Marsaglia's xorshift: good enough to choose with.
    pub(super) fn random(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    /// A name that no container had before.
    pub(super) fn new_name(&mut self) -> String {
        self.names += 1;
        self.last_name()
    }

    /// The name that was made last.
    pub(super) fn last_name(&self) -> String {
        format!("storm-{}-{}", self.number, self.names)
    }

    /// Asks once.
    pub(super) fn try_once(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Reply> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let reply = http::exchange(&self.socket, method, path, body.as_bytes());
        match reply {
            Ok(reply) => Some(reply),
            Err(error) => {
                self.tally.retries += 1;
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
                ) {
                    std::thread::sleep(PAUSE);
                }
                None
            }
        }
    }

    /// Asks until there is an answer. Only for what may be asked twice.
    pub(super) fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Reply, String> {
        self.until(&format!("{method} {path}"), |caller| Ok(caller.try_once(method, path, body)))
    }

    /// Tries until something comes of it.
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut(&mut Self) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(done) = attempt(self)? {
                return Ok(done);
            }
            if Instant::now() > end {
                return Err(format!("{what}: not done after {PATIENCE:?}"));
            }
        }
    }

    /// Does an operation and notes how long it took.
    pub(super) fn timed<T>(
        &mut self,
        operation: &'static str,
        work: impl FnOnce(&mut Self) -> Result<T, String>,
    ) -> Result<T, String> {
        let began = Instant::now();
        let result = work(self);
        self.tally.times.entry(operation).or_default().push(began.elapsed());
        result
    }

    /// Attaches: a connection that is no longer HTTP. Nothing, if it broke before.
    pub(super) fn upgrade(&mut self, path: &str) -> Option<Result<Stream, Reply>> {
        let upgraded = http::upgrade(&self.socket, path);
        if upgraded.is_err() {
            self.tally.retries += 1;
        }
        upgraded.ok()
    }

    /// Looks away for a moment.
    pub(super) fn pause(&self) {
        std::thread::sleep(PAUSE);
    }
}
