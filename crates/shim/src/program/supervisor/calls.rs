//! What another runtime's program was asked for, and has not done yet.
//!
//! Nobody waits for such a call but who has asked: the log, the clients, the health check and
//! the deadline of a stop go on meanwhile. A call that comes to no end is given up, and so are
//! all of them when the run is over.

use std::time::{Duration, Instant};

use shim::protocol::{Answer, Failure, FailureKind};

use super::ends::Over;
use super::exec::Making;
use super::requests::{Reply, Update};
use super::stopping::StopSignal;
use super::{Supervisor, internal};
use crate::container::Container;
use crate::event_loop::Token;
use crate::foreign::{self, Call, ExecCall};

/// Between two looks for ended processes that another runtime's container left to us.
const STRANGERS_TIME: Duration = Duration::from_secs(1);

/// A call that is on its way.
#[derive(Debug)]
pub(super) struct Pending {
    number: u32,
    /// Who is to be answered.
    connection: Option<u32>,
    work: Work,
}

/// What was asked for, with all that is needed to go on afterwards.
#[derive(Debug)]
pub(super) enum Work {
    Signal(Call, i32),
    StopSignal(Call, StopSignal),
    Freeze(Call),
    Thaw(Call),
    Update(Call, Update),
    Exec(ExecCall, Box<Making>),
    Delete(Call, Container, Over),
}

impl Pending {
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    pub(super) fn deadline(&self) -> Instant {
        match &self.work {
            Work::Exec(call, _) => call.deadline(),
            Work::Signal(call, _)
            | Work::StopSignal(call, _)
            | Work::Freeze(call)
            | Work::Thaw(call)
            | Work::Update(call, _)
            | Work::Delete(call, ..) => call.deadline(),
        }
    }
}

impl Work {
    fn watch(&mut self, supervisor: &Supervisor, token: Token) -> rustix::io::Result<()> {
        match self {
            Self::Exec(call, _) => call.watch(&supervisor.events, token),
            Self::Signal(call, _)
            | Self::StopSignal(call, _)
            | Self::Freeze(call)
            | Self::Thaw(call)
            | Self::Update(call, _)
            | Self::Delete(call, ..) => call.watch(&supervisor.events, token),
        }
    }
}

impl Supervisor {
    /// Goes on with `work` when its call is over, and answers then.
    pub(super) fn await_call(&mut self, connection: Option<u32>, mut work: Work) -> Reply {
        let number = self.next_call;
        self.next_call = self.next_call.wrapping_add(1);
        // A call that cannot be watched is over at its deadline, and asked then.
        let _ = work.watch(self, Token::Call(number));
        self.calls.push(Pending { number, connection, work });
        None
    }

    pub(super) fn call_ended(&mut self, number: u32) {
        let Some(index) = self.calls.iter().position(|call| call.number == number) else { return };
        let Pending { connection, work, .. } = self.calls.remove(index);
        let answer = self.go_on(work).unwrap_or_else(Answer::Failed);
        if let Some(connection) = connection {
            self.control.answer(connection, &answer, None);
        }
        // It may have left some.
        self.strangers_at = self.strangers_at.map(|_| Instant::now());
        self.tidy_later();
    }

    pub(super) fn end_late_calls(&mut self, now: Instant) {
        while let Some(late) = self.calls.iter().find(|call| call.deadline() <= now) {
            self.call_ended(late.number);
        }
    }

    fn go_on(&mut self, work: Work) -> Result<Answer, Failure> {
        match work {
            Work::Signal(call, signal) => self.signal_sent(call, signal)?,
            Work::StopSignal(call, sent) => {
                // It may be ending by itself.
                let _ = self.signal_sent(call, sent.signal());
                self.stop_signal_sent(sent);
            }
            Work::Freeze(call) => {
                call.finish().map_err(|error| error.with_prefix(""))?;
                self.paused();
            }
            Work::Thaw(call) => {
                call.finish().map_err(|error| error.with_prefix(""))?;
                self.resumed();
            }
            Work::Update(call, update) => {
                let outcome = call.finish();
                self.note_cgroups();
                outcome.map_err(|error| error.with_prefix(""))?;
                self.updated(update);
            }
            Work::Exec(call, making) => {
                let process = call.finish()?;
                return self.exec_made(process, *making);
            }
            Work::Delete(call, container, over) => {
                if let Err(error) = call.finish() {
                    eprintln!("{}", error.with_prefix("").message);
                    container.forget();
                }
                self.run_deleted(over);
            }
        }
        Ok(Answer::Done)
    }

    /// What the program could not send is sent by us.
    fn signal_sent(&self, call: Call, signal: i32) -> Result<(), Failure> {
        match (call.finish(), self.live_run()) {
            (Err(_), Ok(run)) => run.container.send_directly(signal).map_err(internal),
            _ => Ok(()),
        }
    }

    /// The run ends: nothing comes of what was asked for.
    pub(super) fn give_up_calls(&mut self, is_given_up: impl Fn(&Work) -> bool) {
        let calls = std::mem::take(&mut self.calls);
        for call in calls {
            if matches!(call.work, Work::Delete(..)) || !is_given_up(&call.work) {
                self.calls.push(call);
                continue;
            }
            let message = format!("container {} has ended meanwhile", self.launch.container_id);
            let failure = Failure { kind: FailureKind::WrongPhase, message };
            if let Work::Exec(call, _) = call.work {
                call.abandon();
            }
            if let Some(connection) = call.connection {
                self.control.answer(connection, &Answer::Failed(failure), None);
            }
        }
    }

    /// Nothing more is made in a container that was killed.
    pub(super) fn end_makings(&mut self) {
        self.give_up_calls(|work| matches!(work, Work::Exec(..)));
        if self.is_making_probe() {
            self.suspend_health();
        }
    }

    fn is_making_probe(&self) -> bool {
        self.monitor.as_ref().is_some_and(|monitor| monitor.is_making())
    }

    /// Waits for what a container of another runtime has left to us: a pid namespace cannot end
    /// before.
    pub(super) fn reap_strangers(&mut self) {
        let is_making = self.calls.iter().any(|call| matches!(call.work, Work::Exec(..)));
        // What a call is about to tell us of may have ended already.
        if !is_making && !self.is_making_probe() {
            foreign::reap_strangers();
        }
        let goes_on = self.run.is_some() || !self.calls.is_empty();
        self.strangers_at = goes_on.then(|| Instant::now() + STRANGERS_TIME);
    }
}
