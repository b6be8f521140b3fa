//! `/containers/…`: containers, as Docker clients see them.

mod archive;
mod attach;
mod changes;
mod control;
mod create;
mod filter;
mod inspect;
mod list;
mod logs;
mod stats;
mod wait;
mod websocket;

pub(crate) use archive::{read as read_archive, stat as stat_archive, write as write_archive};
pub(crate) use attach::attach_raw as attach;
pub(crate) use changes::{changes, commit, export};
pub(crate) use control::{
    kill, pause, prune, remove, rename, resize, restart, start, stop, unpause, update,
};
pub(crate) use create::create;
pub(crate) use inspect::{inspect, top};
pub(crate) use list::list;
pub(crate) use logs::logs;
pub(crate) use stats::stats;
pub(crate) use wait::wait;
pub(crate) use websocket::attach_by_websocket;

pub(super) use control::terminal_size;
pub(super) use list::summaries;
