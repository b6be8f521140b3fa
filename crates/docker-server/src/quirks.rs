//! Where Docker's status is not what the error's kind says.
//!
//! Docker gives many errors no class at all, so that they become 500, and clients have learnt
//! to live with it. Each line here was seen on a Docker engine 28.5.

use engine::containers::{ControlError, ExecError, StartError};
use errors::{Explain, Kind};
use hyper::StatusCode;

/// The status that Docker gives to an error, if it is another than its kind's.
pub(crate) fn status(error: &dyn Explain) -> Option<StatusCode> {
    let error: &(dyn std::error::Error + 'static) = error;
    if let Some(StartError::Network { source }) = error.downcast_ref()
        && source.kind() != Kind::NotFound
    {
        return Some(StatusCode::INTERNAL_SERVER_ERROR);
    }
    if let Some(ExecError::Container(control)) = error.downcast_ref() {
        return status(control);
    }
    match error.downcast_ref() {
        Some(ControlError::Start(start)) => return status(start),
        Some(
            ControlError::NotPaused { .. }
            | ControlError::ProcessTable { .. }
            | ControlError::EscapeKeys { .. },
        ) => return Some(StatusCode::INTERNAL_SERVER_ERROR),
        _ => {}
    }
    None
}
