//! Documents as callers write them: with more, and with less, than the specification's types
//! can hold.
//!
//! What is overlooked here is what runc overlooks. A document that is as specified is read once,
//! and costs nothing more.

use oci::runtime::Capability;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::log::Log;

/// The sets below `process.capabilities`.
const CAPABILITY_SETS: [&str; 5] = ["bounding", "effective", "inheritable", "permitted", "ambient"];

/// Reads a container's configuration. If there was something to be overlooked in it, `text`
/// comes to be without that.
pub(crate) fn configuration<T: DeserializeOwned>(
    text: &mut Vec<u8>,
    log: &Log,
) -> serde_json::Result<T> {
    read(text, log, |document| document.get_mut("process"))
}

/// Reads a process.
pub(crate) fn process<T: DeserializeOwned>(mut text: Vec<u8>, log: &Log) -> serde_json::Result<T> {
    read(&mut text, log, |document| Some(document))
}

fn read<T: DeserializeOwned>(
    text: &mut Vec<u8>,
    log: &Log,
    process: fn(&mut Value) -> Option<&mut Value>,
) -> serde_json::Result<T> {
    let error = match serde_json::from_slice(text) {
        Ok(read) => return Ok(read),
        Err(error) => error,
    };
    // The first error names the place in the document as it was written.
    let Ok(mut document) = serde_json::from_slice::<Value>(text) else { return Err(error) };
    let Some(Value::Object(process)) = process(&mut document) else { return Err(error) };
    add_user(process);
    correct_scheduler_flags(process);
    let unknown = drop_unknown_capabilities(process);
    *text = document.to_string().into_bytes();
    let Ok(read) = serde_json::from_slice(text) else { return Err(error) };
    if !unknown.is_empty() {
        let names = unknown.join(" ");
        log.warning(&format!("ignoring unknown or unavailable capabilities: [{names}]"));
    }
    Ok(read)
}

/// Where nobody is named, it is root.
fn add_user(process: &mut Map<String, Value>) {
    let user = process.entry("user").or_insert_with(|| json!({}));
    if let Value::Object(user) = user {
        user.entry("uid").or_insert_with(|| json!(0));
        user.entry("gid").or_insert_with(|| json!(0));
    }
}

/// The specification's name for a flag that its types know by the kernel's.
fn correct_scheduler_flags(process: &mut Map<String, Value>) {
    let flags = process.get_mut("scheduler").and_then(|scheduler| scheduler.get_mut("flags"));
    for flag in flags.and_then(Value::as_array_mut).into_iter().flatten() {
        if flag == "SCHED_FLAG_RESET_ON_FORK" {
            *flag = "SCHED_RESET_ON_FORK".into();
        }
    }
}

/// A newer caller may know more of them; what nobody here knows, nobody can use.
fn drop_unknown_capabilities(process: &mut Map<String, Value>) -> Vec<String> {
    let mut unknown = Vec::new();
    let Some(Value::Object(sets)) = process.get_mut("capabilities") else { return unknown };
    for set in CAPABILITY_SETS {
        let Some(Value::Array(names)) = sets.get_mut(set) else { continue };
        names.retain(|name| {
            let is_known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if let Some(name) = name.as_str().filter(|_| !is_known) {
                unknown.push(name.to_owned());
            }
            is_known
        });
    }
    unknown.sort();
    unknown.dedup();
    unknown
}

#[cfg(test)]
mod tests {
    use oci::runtime::Process;

    use super::*;

    #[test]
    fn a_process_of_nobody_is_root() {
        let process: Process =
            process(br#"{"args": ["true"], "cwd": "/"}"#.to_vec(), &Log::default()).unwrap();
        assert_eq!((process.user().uid(), process.user().gid()), (0, 0));
    }

    #[test]
    fn a_schedulers_flag_has_the_specifications_name() {
        let document = json!({"cwd": "/", "user": {"uid": 0, "gid": 0}, "scheduler": {
            "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}});
        let text = document.to_string().into_bytes();
        let read: Process = process(text, &Log::default()).unwrap();
        let flags = read.scheduler().as_ref().unwrap().flags().as_ref().unwrap();
        assert_eq!(serde_json::to_value(flags).unwrap(), json!(["SCHED_RESET_ON_FORK"]));
    }

    #[test]
    fn unknown_capabilities_are_dropped_from_the_text_too() {
        let document = json!({"ociVersion": "1.2.0", "process": {"cwd": "/", "user": {"uid": 1},
            "capabilities": {"bounding": ["CAP_KILL", "CAP_MAGIC"], "effective": ["CAP_MAGIC"]}}});
        let mut text = document.to_string().into_bytes();
        let spec: oci::runtime::Spec = configuration(&mut text, &Log::default()).unwrap();
        let process = spec.process().as_ref().unwrap();
        let bounding = process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap();
        assert_eq!(bounding.len(), 1);
        assert!(!String::from_utf8(text).unwrap().contains("MAGIC"));
    }

    #[test]
    fn what_makes_no_sense_is_told_as_it_was_written() {
        let error = process::<Process>(b"{\n\"cwd\": 1}".to_vec(), &Log::default());
        assert!(error.unwrap_err().to_string().contains("line 2"));
    }
}
