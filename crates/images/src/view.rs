//! Layers looked at as one tree, without a mount that anybody could trip over.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use linux::mounts::in_own_namespace;
use linux::overlay;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Good for finding things in a folder, and nothing else.
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The tree that layers make together, topmost first; `None` without layers. It cannot be
/// changed, and goes with its descriptor whatever happens to us.
pub fn open_merged(layers: &[PathBuf]) -> io::Result<Option<OwnedFd>> {
    match layers {
        [] => Ok(None),
        // An overlay wants two.
        [only] => Ok(Some(rustix::fs::open(only, FOLDER, Mode::empty())?)),
        many => match overlay::mount_detached(many.iter().map(PathBuf::as_path), None) {
            // Before Linux 6.5 layers could not be given one by one.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => {
                mount_apart(many).map(Some)
            }
            result => Ok(Some(result?)),
        },
    }
}

/// Mounts them in a mount namespace that nobody else is in, and goes with the descriptor.
fn mount_apart(layers: &[PathBuf]) -> io::Result<OwnedFd> {
    in_own_namespace(|| {
        // Any folder will do as its place there.
        let place = &layers[0];
        overlay::mount_at(place, layers.iter().map(PathBuf::as_path), None)?;
        Ok(rustix::fs::open(place, FOLDER, Mode::empty())?)
    })
}

/// A folder's descriptor.
pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, FOLDER, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn layers_are_seen_the_same_on_older_kernels() {
        let root = tempfile::tempdir().unwrap();
        let layers = ["a", "b"].map(|name| root.path().join(name));
        for layer in &layers {
            fs::create_dir(layer).unwrap();
            fs::write(layer.join("file"), layer.as_os_str().as_encoded_bytes()).unwrap();
        }
        for view in [mount_apart(&layers).unwrap(), open_merged(&layers).unwrap().unwrap()] {
            let file = rustix::fs::openat(&view, "file", OFlags::RDONLY, Mode::empty()).unwrap();
            let text = io::read_to_string(fs::File::from(file)).unwrap();
            assert_eq!(Path::new(&text), layers[0]);
        }
    }
}
