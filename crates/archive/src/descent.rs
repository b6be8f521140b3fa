//! The way down into a tree, and up again, with few folders open at a time.
//!
//! An open folder costs the whole process a descriptor, and who makes a tree can make it two
//! thousand folders deep. So only the deepest are open. Those above are opened again, by their
//! path from the nearest one that was left open, when the walk comes back to them. One that is
//! not there any more by then has nothing more to show.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::place;

/// How many folders on one way down are open.
pub const OPEN_FOLDERS_MAX: usize = 32;

/// The folders from the top to where one is. Several trees may be walked through side by side:
/// each step has `N` folders of the same path, of which some may be missing.
#[derive(Debug)]
pub struct Descent<const N: usize> {
    steps: Vec<Step<N>>,
}

#[derive(Debug)]
struct Step<const N: usize> {
    /// From the top.
    path: Vec<u8>,
    folders: [State; N],
    /// Not found by its path from the step above, and so never closed.
    is_anchor: bool,
    /// What was not looked at yet, in reverse order.
    names: Vec<Vec<u8>>,
}

#[derive(Debug)]
enum State {
    Missing,
    Open(OwnedFd),
    Closed,
}

/// What comes next on the way.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A name in the [`folder`](Descent::folder), and its path from the top.
    Name { name: Vec<u8>, path: Vec<u8> },
    /// A folder has no more names: it was left for the one above.
    Left,
}

impl<const N: usize> Descent<N> {
    /// Begins at the top: its folders, and the names in them.
    pub fn new(folders: [Option<OwnedFd>; N], names: Vec<Vec<u8>>) -> Self {
        let mut descent = Self { steps: Vec::new() };
        descent.enter_elsewhere(Vec::new(), folders, names);
        descent
    }

    /// Goes down into a folder of the present one.
    pub fn enter(&mut self, path: Vec<u8>, folders: [Option<OwnedFd>; N], names: Vec<Vec<u8>>) {
        self.push(path, folders, names, false);
    }

    /// Goes down into a folder that is not found below the present one, but stands for one.
    pub fn enter_elsewhere(
        &mut self,
        path: Vec<u8>,
        folders: [Option<OwnedFd>; N],
        names: Vec<Vec<u8>>,
    ) {
        self.push(path, folders, names, true);
    }

    fn push(
        &mut self,
        path: Vec<u8>,
        folders: [Option<OwnedFd>; N],
        mut names: Vec<Vec<u8>>,
        is_anchor: bool,
    ) {
        names.reverse();
        let folders = folders.map(|folder| folder.map_or(State::Missing, State::Open));
        self.steps.push(Step { path, folders, is_anchor, names });
        let above = self.steps.len().checked_sub(OPEN_FOLDERS_MAX + 1);
        if let Some(step) = above.map(|index| &mut self.steps[index])
            && !step.is_anchor
        {
            step.folders.iter_mut().for_each(State::close);
        }
    }

    /// Goes on. Nothing, at the end of the way.
    pub fn advance(&mut self) -> io::Result<Option<Next>> {
        loop {
            let Some(step) = self.steps.last_mut() else { return Ok(None) };
            let Some(name) = step.names.pop() else {
                self.steps.pop();
                return Ok(if self.steps.is_empty() { None } else { Some(Next::Left) });
            };
            match self.open_last() {
                Ok(()) => {}
                // Somebody has moved it meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {
                    self.steps.last_mut().expect("it was there").names.clear();
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            let path = place::join(self.path(), &name);
            return Ok(Some(Next::Name { name, path }));
        }
    }

    /// The path of the present folder.
    pub fn path(&self) -> &[u8] {
        self.steps.last().map_or(b"", |step| &step.path)
    }

    /// One of the present folders.
    pub fn folder(&self, index: usize) -> Option<BorrowedFd<'_>> {
        match &self.steps.last()?.folders[index] {
            State::Open(folder) => Some(folder.as_fd()),
            State::Missing | State::Closed => None,
        }
    }

    /// Opens the deepest step again, if it was closed.
    fn open_last(&mut self) -> Result<(), Errno> {
        let (last, above) = self.steps.split_last_mut().expect("there is a way");
        for (index, state) in last.folders.iter_mut().enumerate() {
            if !matches!(state, State::Closed) {
                continue;
            }
            let anchor = above.iter().rev().find(|step| step.is_anchor).expect("the top is one");
            let State::Open(folder) = &anchor.folders[index] else { return Err(Errno::NOENT) };
            let path = &last.path[anchor.path.len()..];
            let path = path.strip_prefix(b"/").unwrap_or(path);
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            *state = State::Open(place::open_at(folder.as_fd(), path, flags, resolve)?);
        }
        Ok(())
    }
}

impl State {
    fn close(&mut self) {
        if matches!(self, Self::Open(_)) {
            *self = Self::Closed;
        }
    }
}
