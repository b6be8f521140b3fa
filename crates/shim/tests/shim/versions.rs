//! Shims and daemons of different builds: what version 1 of the protocol says is understood.
//!
//! The messages in `samples/` are those of the first build that had containers to keep. They are
//! never changed; a new version gets a file of its own.

use serde_json::{Value, json};
use shim::protocol::{Answer, Event, Failure, FailureKind, Launch, Request, State, What};

fn samples() -> Value {
    serde_json::from_str(include_str!("samples/protocol-1.json")).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(message: &Value) -> T {
    serde_json::from_value(message.clone()).unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// An older reader finds everything in `new` that was in `old`, under the same name.
#[track_caller]
fn has_all_of(new: &Value, old: &Value) {
    match (new, old) {
        (Value::Object(new), Value::Object(old)) => {
            for (name, value) in old {
                let there = new.get(name).unwrap_or_else(|| panic!("{name} is missing in {new:?}"));
                has_all_of(there, value);
            }
        }
        (Value::Array(new), Value::Array(old)) => {
            assert_eq!(new.len(), old.len());
            new.iter().zip(old).for_each(|(new, old)| has_all_of(new, old));
        }
        (new, old) => assert_eq!(new, old),
    }
}

#[test]
fn what_an_older_daemon_or_shim_says_is_understood_and_said_in_the_same_words() {
    let samples = samples();
    let launch: Launch = read(&samples["launch"]);
    has_all_of(&json!(launch), &samples["launch"]);
    let state: State = read(&samples["state"]);
    has_all_of(&json!(state), &samples["state"]);
    for request in samples["requests"].as_array().unwrap() {
        has_all_of(&json!(read::<Request>(request)), request);
    }
    for answer in samples["answers"].as_array().unwrap() {
        has_all_of(&json!(read::<Answer>(answer)), answer);
    }
    for what in samples["events"].as_array().unwrap() {
        let event = json!({ "what": what, "state": samples["state"] });
        has_all_of(&json!(read::<Event>(&event)), &event);
    }
}

#[test]
fn what_a_newer_one_adds_does_no_harm() {
    let mut state = samples()["state"].clone();
    state["weather"] = json!({ "sun": true });
    assert_eq!(read::<State>(&state).pid, 11);
    let event = json!({ "what": "sneezed", "state": state });
    assert_eq!(read::<Event>(&event).what, What::Other);
    let failure: Failure = read(&json!({ "kind": "bored", "message": "m" }));
    assert_eq!(failure.kind, FailureKind::Internal);
}
