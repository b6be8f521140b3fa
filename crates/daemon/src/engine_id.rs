//! What tells this daemon from others: an id for clients, and a name for the kernel's objects.

use std::io;
use std::path::Path;

/// The file in the data root that has the id.
const FILE: &str = "engine-id";

/// The id that clients see: made once for each data root, as a UUID.
pub(crate) fn load_or_make(data_root: &Path) -> io::Result<String> {
    let path = data_root.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(id) if !id.trim().is_empty() => return Ok(id.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // The kernel makes a new one at each reading.
    let id = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
    std::fs::write(&path, &id)?;
    Ok(id)
}

/// A short name that follows from where the daemon keeps its things, so that a daemon that was
/// killed, or whose data root was deleted, finds what it left in the kernel.
pub(crate) fn instance(data_root: &Path, exec_root: &Path) -> String {
    let text = format!("{}\0{}", data_root.display(), exec_root.display());
    // FNV-1a: it has to be the same in every build.
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{:08x}", hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let id = load_or_make(folder.path()).unwrap();
        assert_eq!(id.len(), 36);
        assert_eq!(load_or_make(folder.path()).unwrap(), id);
    }

    #[test]
    fn an_instance_follows_from_its_folders() {
        let name = |data: &str, exec: &str| instance(Path::new(data), Path::new(exec));
        assert_eq!(name("/a", "/b"), name("/a", "/b"));
        assert_ne!(name("/a", "/b"), name("/a", "/c"));
        assert_eq!(name("/a", "/b").len(), 8);
    }
}
