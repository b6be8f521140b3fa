//! From the engine's views to Docker's documents.

mod container;
mod container_list;
mod container_state;
mod document;
mod endpoints;
mod event;
mod image;
mod mount;
mod network;
mod path;
mod stats;
mod time;
mod volume;

pub(crate) use container::inspect as container_inspect;
pub(crate) use container_list::summary as container_summary;
pub(crate) use document::{Document, Summary};
pub(crate) use endpoints::fill_in_ids as fill_in_network_ids;
pub(crate) use event::message as event_message;
pub(crate) use image::{
    config as image_config, defaults as image_defaults, familiar_names, inspect as image_inspect,
    summary as image_summary,
};
pub(crate) use network::inspect as network_inspect;
pub(crate) use path::clean as clean_path;
pub(crate) use stats::{earlier as earlier_cpu, nothing as no_stats, stats};
pub(crate) use time::{ZERO as ZERO_TIME, parse as parse_time, parse_seconds, text as time_text};
pub(crate) use volume::show as volume;
