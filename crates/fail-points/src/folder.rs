//! The folder through which a test and a program speak.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::points::{COUNT, POINTS, Point};

/// What was come by already, and need not be written down again.
static REACHED: [AtomicBool; COUNT] = [const { AtomicBool::new(false) }; COUNT];

/// What an armed point does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Fail,
    Wait(Duration),
    Die,
}

impl Action {
    fn parse(text: &str) -> Option<Self> {
        match text.trim().split_once(' ') {
            None if text.trim() == "error" => Some(Self::Fail),
            None if text.trim() == "abort" => Some(Self::Die),
            Some(("delay", millis)) => {
                millis.parse().ok().map(Duration::from_millis).map(Self::Wait)
            }
            _ => None,
        }
    }
}

/// The folder, if there is one: asked for once, for a program does not change its environment.
fn folder() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os(crate::FOLDER_VARIABLE).map(PathBuf::from)).as_deref()
}

pub(crate) fn announce() -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    for name in ["reached", "armed", "fired"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let line = |&(name, can_fail): &(&str, bool)| {
        format!("{name}{} delay abort\n", if can_fail { " error" } else { "" })
    };
    fs::write(folder.join("points"), POINTS.iter().map(line).collect::<String>())
}

pub(crate) fn come_by(point: Point) -> io::Result<()> {
    let Some(folder) = folder() else { return Ok(()) };
    let (name, can_fail) = POINTS[point as usize];
    if !REACHED[point as usize].swap(true, Ordering::Relaxed) {
        // It matters to the test alone, which notices that it is missing.
        let _ = fs::write(folder.join("reached").join(name), "");
    }
    let fired = folder.join("fired").join(name);
    if fs::rename(folder.join("armed").join(name), &fired).is_err() {
        return Ok(());
    }
    let text = fs::read_to_string(&fired).unwrap_or_default();
    fs::write(fired, format!("{text} in {}", std::process::id()))?;
    match Action::parse(&text) {
        Some(Action::Fail) if can_fail => Err(io::Error::other(format!("fail point {name}"))),
        Some(Action::Wait(pause)) => {
            std::thread::sleep(pause);
            Ok(())
        }
        // As by SIGKILL: no destructor runs. The first process of a pid namespace cannot kill
        // itself, but this works there as well.
        Some(Action::Die) => std::process::abort(),
        Some(Action::Fail) | None => panic!("the fail point {name} was armed with nonsense"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_a_word_or_two() {
        assert_eq!(Action::parse("error\n"), Some(Action::Fail));
        assert_eq!(Action::parse("abort"), Some(Action::Die));
        assert_eq!(Action::parse("delay 20"), Some(Action::Wait(Duration::from_millis(20))));
        for text in ["", "delay", "delay x", "explode"] {
            assert_eq!(Action::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_unique_and_say_their_operation() {
        let names: std::collections::BTreeSet<_> = POINTS.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), COUNT);
        for name in names {
            assert!(name.split_once('.').is_some_and(|(_, step)| !step.is_empty()), "{name}");
        }
    }
}
