//! What runs containers: our own library, or programs with runc's command line.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// The names of our own library: Docker's of the runtime that is always there, and ours.
pub const BUILT_IN: [&str; 3] = ["io.containerd.runc.v2", "runc", "wharf"];

/// The name that is shown for containers of an engine that was told nothing.
pub const DEFAULT: &str = "runc";

/// What runs containers, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtimes {
    /// The one for containers that name none.
    pub default: String,
    pub programs: BTreeMap<String, RuntimeProgram>,
}

impl Default for Runtimes {
    fn default() -> Self {
        Self { default: DEFAULT.to_owned(), programs: BTreeMap::new() }
    }
}

/// A program with runc's command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeProgram {
    /// A path, or a name to look for on `PATH`.
    pub path: PathBuf,
    /// Put before everything else on its command line.
    pub arguments: Vec<String>,
}

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime<'a> {
    BuiltIn,
    Program(&'a RuntimeProgram),
    /// A name of the kind that containerd gives to programs of its own. There is none here.
    Foreign,
}

impl Runtimes {
    /// What `name` means; the default, if there is none.
    pub fn find<'a>(&'a self, name: Option<&str>) -> Option<Runtime<'a>> {
        let name = name.unwrap_or(&self.default);
        if let Some(program) = self.programs.get(name) {
            return Some(Runtime::Program(program));
        }
        if BUILT_IN.contains(&name) {
            return Some(Runtime::BuiltIn);
        }
        foreign_program(name).map(|_| Runtime::Foreign)
    }
}

/// The program that containerd would look for: `io.containerd.foo.v1` is
/// `containerd-shim-foo-v1`.
pub(crate) fn foreign_program(name: &str) -> Option<String> {
    let mut parts = name.rsplit('.');
    let (version, kind) = (parts.next()?, parts.next()?);
    let is_name = !name.contains('/') && !version.is_empty() && !kind.is_empty();
    is_name.then(|| format!("containerd-shim-{kind}-{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_the_library_a_program_or_nothing() {
        let program = RuntimeProgram { path: "/usr/bin/crun".into(), arguments: Vec::new() };
        let programs = [("crun".to_owned(), program.clone())].into();
        let runtimes = Runtimes { programs, ..Runtimes::default() };
        assert_eq!(runtimes.find(None), Some(Runtime::BuiltIn));
        assert_eq!(runtimes.find(Some("crun")), Some(Runtime::Program(&program)));
        assert_eq!(runtimes.find(Some("io.containerd.foo.v1")), Some(Runtime::Foreign));
        assert_eq!(runtimes.find(Some("nope")), None);
        assert_eq!(runtimes.find(Some("/usr/bin/crun")), None);
        assert_eq!(
            foreign_program("io.containerd.foo.v1").as_deref(),
            Some("containerd-shim-foo-v1")
        );
    }
}
