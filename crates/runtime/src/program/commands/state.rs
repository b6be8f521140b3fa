//! `state`: a container's state as the specification wants it told.

use serde::Serialize;

use crate::command_line::{Call, Command};
use crate::exit_code::ExitCode;
use crate::record::{Known, Status};

pub(super) const COMMAND: Command = Command::new("state", "output the state of a container", state);

/// The fields in runc's order, with those that it adds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown<'a> {
    oci_version: &'a str,
    pub(super) id: &'a str,
    pub(super) pid: i32,
    pub(super) status: &'static str,
    pub(super) bundle: &'a std::path::Path,
    rootfs: &'a std::path::Path,
    pub(super) created: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<std::collections::BTreeMap<&'a str, &'a str>>,
    pub(super) owner: String,
}

impl<'a> Shown<'a> {
    pub(super) fn new(known: &'a Known, status: Status, owner: String) -> Self {
        let record = &known.record;
        let annotations = record.spec.annotations().as_ref().filter(|all| !all.is_empty());
        let pair = |(name, value): (&'a String, &'a String)| (name.as_str(), value.as_str());
        Self {
            oci_version: record.spec.version(),
            id: &record.id,
            pid: known.shown_pid(status),
            status: status.as_str(),
            bundle: &record.bundle,
            rootfs: &record.rootfs,
            created: &record.created,
            annotations: annotations.map(|all| all.iter().map(pair).collect()),
            owner,
        }
    }
}

fn state(call: &Call) -> anyhow::Result<ExitCode> {
    let known = Known::open(&call.root, call.id())?;
    let status = known.status()?;
    println!("{}", serde_json::to_string_pretty(&Shown::new(&known, status, String::new()))?);
    Ok(ExitCode::SUCCESS)
}
