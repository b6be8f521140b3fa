//! Places in our own code where a test makes it fail, wait, or die.
//!
//! A step that must be survivable says where it is, in one line:
//!
//! ```text
//! reach(Point::CreateFolder)?; // fails, waits or dies if a test wants it to
//! pass(Point::CreateName);     // where nothing can fail: waits or dies
//! ```
//!
//! In a release build both are nothing at all, and the names of the points are not in the
//! program. In a debug build they are nothing as well, unless [`FOLDER_VARIABLE`] names a folder
//! (a daemon passes the variable on to its shims). In that folder:
//!
//! | file | written by | what |
//! |---|---|---|
//! | `points` | [`announce`] | every point: its name and what it can do, a line each |
//! | `reached/<point>` | the program | the point was come by |
//! | `armed/<point>` | the test | `error`, `delay <milliseconds>` or `abort` |
//! | `fired/<point>` | the program | the point did as told, in which process; its `armed` was renamed to this |
//!
//! An armed point fires once, in whatever process comes by first: the rename decides. So a daemon
//! that died at a point comes by it unharmed when it is started again.
//!
//! The first part of a point's name is the operation that it is a step of. The story
//! `fail_points` walks through all of them.

mod points;

#[cfg(debug_assertions)]
mod folder;

pub use points::Point;

/// The environment variable that names the folder.
#[cfg(debug_assertions)]
pub const FOLDER_VARIABLE: &str = "WHARF_FAIL_POINTS";

/// Comes by a point whose step can fail.
#[cfg(debug_assertions)]
pub fn reach(point: Point) -> std::io::Result<()> {
    folder::come_by(point)
}

/// Comes by a point at which nothing can fail.
#[cfg(debug_assertions)]
pub fn pass(point: Point) {
    // Such a point is never armed with an error: `points` says so.
    let _ = folder::come_by(point);
}

/// Writes down which points there are.
#[cfg(debug_assertions)]
pub fn announce() -> std::io::Result<()> {
    folder::announce()
}

/// What a program that is started with an empty environment has to be given.
#[cfg(debug_assertions)]
pub fn environment() -> Option<(&'static str, std::ffi::OsString)> {
    Some((FOLDER_VARIABLE, std::env::var_os(FOLDER_VARIABLE)?))
}

/// Comes by a point. Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: Point) -> std::io::Result<()> {
    Ok(())
}

/// Comes by a point. Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn pass(_: Point) {}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn announce() -> std::io::Result<()> {
    Ok(())
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn environment() -> Option<(&'static str, std::ffi::OsString)> {
    None
}
