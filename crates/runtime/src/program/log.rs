//! Telling errors: on standard error, and in the file that a caller wants them in.
//!
//! Engines read the last line of that file to tell their users what has happened.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use crate::arguments::{Global, LogFormat};

pub(crate) struct Log {
    file: Option<PathBuf>,
    format: LogFormat,
}

impl Log {
    pub(crate) fn new(global: &Global) -> Self {
        Self { file: global.log.clone(), format: global.log_format }
    }

    pub(crate) fn error(&self, error: &anyhow::Error) {
        let message = format!("{error:#}");
        if let Some(file) = &self.file {
            let line = self.line(&message);
            let file = File::options().create(true).append(true).open(file);
            // If the log cannot be written, standard error has it all the same.
            let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        }
        eprintln!("wharf-runtime: {message}");
    }

    fn line(&self, message: &str) -> String {
        let time = jiff::Timestamp::now().to_string();
        match self.format {
            LogFormat::Json => {
                let line = serde_json::json!({"level": "error", "msg": message, "time": time});
                format!("{line}\n")
            }
            LogFormat::Text => format!("time=\"{time}\" level=error msg={message:?}\n"),
        }
    }
}
