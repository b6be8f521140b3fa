//! The user's settings, where Docker's client keeps them.

mod contexts;
mod file;

pub(crate) use contexts::Contexts;
pub(crate) use file::Configuration;
