//! Where a container's log can be read.

use std::path::{Path, PathBuf};

use super::options::Paths;
use crate::containers::spec::LogConfig;

/// How a log's files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonFile,
    Local,
}

/// Where a container's log can be read, if anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPlace(Option<(Format, PathBuf)>);

impl LogPlace {
    /// The log's file, if others than us may read it.
    pub fn shown(&self) -> Option<&Path> {
        match &self.0 {
            Some((Format::JsonFile, path)) => Some(path),
            _ => None,
        }
    }

    pub(super) fn readable(&self) -> Option<(Format, PathBuf)> {
        self.0.clone()
    }
}

impl Paths {
    /// Where the log of a container with such options is.
    pub(crate) fn place(&self, log: &LogConfig) -> LogPlace {
        // Options were checked when the container was made.
        let has_no_copy = || log.options.get("cache-disabled").is_some_and(|text| is_true(text));
        LogPlace(match log.driver.as_str() {
            "json-file" => Some((Format::JsonFile, self.json_file())),
            "local" => Some((Format::Local, self.local())),
            "none" => None,
            _ if has_no_copy() => None,
            _ => Some((Format::Local, self.copy())),
        })
    }
}

fn is_true(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "true" | "TRUE" | "True")
}
