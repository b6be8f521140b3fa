//! `--security-opt`: a seccomp profile is read here, for the file is the client's.

use std::fs;

use crate::failure::go_message;
use crate::output::quote::quote;

/// What the options come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SecurityOptions {
    pub(crate) options: Vec<String>,
    /// Whether the kernel's files that are usually hidden are to be seen.
    pub(crate) system_paths_unconfined: bool,
}

/// Checks the options and puts a profile's content where its file's name was.
pub(crate) fn parse(values: &[String]) -> Result<SecurityOptions, String> {
    let mut parsed = SecurityOptions::default();
    for value in values {
        if value == "systempaths=unconfined" {
            parsed.system_paths_unconfined = true;
            continue;
        }
        let pair = value.split_once('=').or_else(|| value.split_once(':'));
        let (key, setting) = pair.unwrap_or((value, ""));
        if setting.is_empty() && key != "no-new-privileges" {
            return Err(format!("Invalid --security-opt: {}", quote(value)));
        }
        parsed.options.push(match (key, setting) {
            ("seccomp", "builtin" | "unconfined") => value.clone(),
            ("seccomp", file) => format!("seccomp={}", read_profile(file)?),
            _ => value.clone(),
        });
    }
    Ok(parsed)
}

fn read_profile(file: &str) -> Result<String, String> {
    let profile = fs::read_to_string(file).map_err(|error| {
        format!("opening seccomp profile ({file}) failed: open {file}: {}", go_message(&error))
    })?;
    let profile: serde_json::Value = serde_json::from_str(&profile)
        .map_err(|error| format!("compacting json for seccomp profile ({file}) failed: {error}"))?;
    Ok(profile.to_string())
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn options(value: &str) -> Result<Vec<String>, String> {
        parse(&[value.to_owned()]).map(|parsed| parsed.options)
    }

    #[test]
    fn options_need_a_value() {
        assert_eq!(options("no-new-privileges").unwrap(), ["no-new-privileges"]);
        assert_eq!(options("label:disable").unwrap(), ["label:disable"]);
        assert_eq!(options("seccomp=unconfined").unwrap(), ["seccomp=unconfined"]);
        assert_eq!(options("x"), Err("Invalid --security-opt: \"x\"".to_owned()));
    }

    #[test]
    fn a_missing_profile_is_named() {
        assert_eq!(
            options("seccomp=/nonexistent/profile"),
            Err("opening seccomp profile (/nonexistent/profile) failed: \
                 open /nonexistent/profile: no such file or directory"
                .to_owned())
        );
    }

    #[test]
    fn hidden_paths_are_not_an_option_of_the_daemon() {
        let parsed = parse(&["systempaths=unconfined".to_owned()]).unwrap();
        assert!(parsed.system_paths_unconfined && parsed.options.is_empty());
    }
}
