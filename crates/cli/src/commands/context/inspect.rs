//! `wharf context inspect`: everything about a context.

use serde_json::{Value, json};

use crate::command_line::{Command, Flag, Parsed, Positional};
use crate::commands::INSPECT_FORMAT_HELP;
use crate::failure::Failure;
use crate::output::go_json;
use crate::output::inspect::{self, Document};
use crate::session::{CONTEXT_DEFAULT, SOCKET_DEFAULT, Session};

pub(crate) static INSPECT: Command =
    Command::new("inspect", "Display detailed information on one or more contexts", run)
        .takes(Positional::AtLeast(0), "[OPTIONS] [CONTEXT] [CONTEXT...]")
        .flags(&[&[Flag::text("format", INSPECT_FORMAT_HELP).short('f')]]);

fn run(session: &mut Session, parsed: &Parsed) -> Result<(), Failure> {
    let names = match parsed.arguments.as_slice() {
        [] => vec![session.context_name()],
        names => names.to_vec(),
    };
    inspect::inspect(&names, parsed.text("format"), |name| {
        let document = document(session, name)?;
        Ok(Document { text: go_json::escaped(&document), absent: &[] })
    })
}

fn document(session: &Session, name: &str) -> Result<Value, Failure> {
    if name == CONTEXT_DEFAULT {
        let host = session.host().unwrap_or_else(|| format!("unix://{SOCKET_DEFAULT}"));
        return Ok(json!({
            "Name": name,
            "Metadata": {},
            "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": false}},
            "TLSMaterial": {},
            "Storage": {"MetadataPath": "<IN MEMORY>", "TLSPath": "<IN MEMORY>"},
        }));
    }
    let contexts = session.contexts();
    let mut document = contexts.get(name)?.document;
    document["TLSMaterial"] = json!({});
    document["Storage"] = json!({
        "MetadataPath": contexts.meta_folder(name),
        "TLSPath": contexts.tls_folder(name),
    });
    Ok(document)
}
