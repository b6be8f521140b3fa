//! The handle: everything that a store can be asked.
//!
//! Each method is one call into the part that does it.

#[cfg(test)]
mod tests;

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use errors::{Explain, Kind};
use oci::{Digest, Reference};
use redb::Database;

use crate::catalog::{Catalog, ResolveError};
use crate::changes::FileChange;
use crate::commit::{CommitError, CommitOptions};
use crate::folders::Folders;
use crate::history::HistoryEntry;
use crate::image::{Image, ImageId};
use crate::import::{ImportError, ImportOptions};
use crate::layers::Layers;
use crate::load::{LoadError, LoadProgress, Loaded};
use crate::names::{TagError, Tagged, UntagError};
use crate::records::{Records, RecordsError};
use crate::remove::{DeleteError, Deleted};
use crate::save::SaveError;
use crate::settle::Settler;
use crate::snapshots::{Snapshot, SnapshotError};

/// The images and file systems of one data root. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store(pub(crate) Arc<Parts>);

/// What a store is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) folders: Folders,
    pub(crate) records: Records,
    pub(crate) layers: Layers,
    catalog: RwLock<Arc<Catalog>>,
    pub(crate) settler: Settler,
    /// Held from reading the catalog to replacing it, so that no change is lost.
    changing: Mutex<()>,
}

/// The store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot prepare {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("cannot read the images' records")]
    Records { source: RecordsError },
}

impl Explain for OpenError {
    fn kind(&self) -> Kind {
        Kind::Internal
    }
}

/// Bytes that a store takes up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files of all layers, each counted once.
    pub layers: u64,
}

impl Store {
    /// Opens the store in `root`, and removes what interrupted work left there.
    ///
    /// There must be no other store open on the same root; the caller's lock on the data root
    /// sees to that.
    pub fn open(root: &Path, database: Arc<Database>) -> Result<Self, OpenError> {
        let store = Self(Arc::new(crate::mend::open(root, database)?));
        store.settle_later();
        Ok(store)
    }

    /// Every image, newest first.
    pub fn images(&self) -> Vec<Arc<Image>> {
        self.0.catalog().images()
    }

    /// The image of this id.
    pub fn image(&self, id: &ImageId) -> Option<Arc<Image>> {
        self.0.catalog().image(id).cloned()
    }

    /// The image that a user means by `name`: a name with or without tag, a name with a
    /// digest, an id or the beginning of one. The built-in image is made if it is the one.
    pub fn resolve(&self, name: &str) -> Result<Arc<Image>, ResolveError> {
        if let Some(image) = crate::built_in::resolve(&self.0, name)? {
            return Ok(image);
        }
        let image = crate::built_in::make(&self.0, name);
        self.after_unpacking();
        image
    }

    /// The same, but only among the images that are there.
    pub fn find(&self, name: &str) -> Result<Arc<Image>, ResolveError> {
        self.0.catalog().resolve(name).cloned()
    }

    /// The images that were made from this one on this host.
    pub fn children(&self, image: &ImageId) -> Vec<ImageId> {
        self.0.catalog().children(image)
    }

    /// Reads images from an archive: what `docker save` writes and wrote, or an OCI layout,
    /// compressed or not. With a `platform`, only images for it.
    pub fn load(
        &self,
        archive: &mut dyn Read,
        platform: Option<&str>,
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<Loaded>, LoadError> {
        let loaded = crate::load::load(&self.0, archive, platform, progress);
        self.after_unpacking();
        loaded
    }

    /// Writes images, as an archive that `docker load` and OCI tools read.
    pub fn save(&self, names: &[String], output: &mut dyn Write) -> Result<(), SaveError> {
        crate::save::save(&self.0, names, output)
    }

    /// Makes an image of one layer from the archive of a file system.
    pub fn import(
        &self,
        archive: &mut dyn Read,
        options: ImportOptions,
    ) -> Result<ImageId, ImportError> {
        let image = crate::import::import(&self.0, archive, options);
        self.after_unpacking();
        image
    }

    /// Gives a name to an image. Another image that has it loses it.
    pub fn tag(&self, image: &ImageId, reference: &Reference) -> Result<Tagged, TagError> {
        crate::names::tag(&self.0, image, reference)
    }

    /// Takes a name away. The image stays, with or without other names.
    pub fn untag(&self, reference: &Reference) -> Result<ImageId, UntagError> {
        crate::names::untag(&self.0, reference)
    }

    /// Removes an image with all its names, and each layer that no other image has.
    ///
    /// Whether it may go (containers, children) is for the caller to know.
    pub fn delete(&self, image: &ImageId) -> Result<Deleted, DeleteError> {
        crate::remove::delete(&self.0, image)
    }

    /// How an image came to be, newest step first.
    pub fn history(&self, image: &ImageId) -> Result<Vec<HistoryEntry>, ResolveError> {
        crate::history::of(&self.0, image)
    }

    /// What all images take up together.
    pub fn usage(&self) -> Usage {
        Usage { layers: self.0.layers.total_size() }
    }

    /// Bytes of the layers of `image` that another image has as well.
    pub fn shared_size(&self, image: &Image) -> u64 {
        let catalog = self.0.catalog();
        let others: std::collections::HashSet<Digest> = catalog
            .images()
            .iter()
            .filter(|other| other.id != image.id)
            .flat_map(|other| other.layers.iter().map(|layer| layer.chain_id).collect::<Vec<_>>())
            .collect();
        let shared = image.layers.iter().filter(|layer| others.contains(&layer.chain_id));
        shared.map(|layer| layer.size).sum()
    }

    /// Makes the folders for the changes of a container (or whatever `name` names) to an
    /// image's file system.
    pub fn prepare(&self, name: &str, image: &ImageId) -> Result<Snapshot, SnapshotError> {
        crate::snapshots::prepare(&self.0, name, image)
    }

    /// What was prepared under this name.
    pub fn snapshot(&self, name: &str) -> Result<Snapshot, SnapshotError> {
        crate::snapshots::get(&self.0, name)
    }

    /// Removes what was prepared under this name, if anything was.
    pub fn discard(&self, name: &str) -> Result<(), SnapshotError> {
        crate::snapshots::discard(&self.0, name)
    }

    /// What was changed in a snapshot, in the order of paths.
    pub fn changes(&self, name: &str) -> Result<Vec<FileChange>, CommitError> {
        Ok(crate::changes::list(&self.snapshot(name)?)?)
    }

    /// Writes all files of a snapshot and its layers, as an archive that `import` reads.
    pub fn export(&self, name: &str, output: &mut dyn Write) -> Result<(), CommitError> {
        Ok(crate::changes::export(&self.snapshot(name)?, output)?)
    }

    /// Makes an image of what was changed in a snapshot.
    pub fn commit(&self, name: &str, options: &CommitOptions) -> Result<ImageId, CommitError> {
        let image = crate::commit::commit(&self.0, name, options);
        self.after_unpacking();
        image
    }

    /// The name of everything that was prepared.
    pub fn snapshots(&self) -> io::Result<Vec<String>> {
        crate::snapshots::names(&self.0)
    }
}

impl Store {
    fn after_unpacking(&self) {
        // The pieces of a large image are not needed again soon, and the daemon is to be small.
        linux::resident::trim_heap();
        self.settle_later();
    }

    /// New layers are written to the disk for good, but nobody waits for it.
    fn settle_later(&self) {
        self.0.settler.settle_later(&self.0);
    }
}

impl Parts {
    pub(crate) fn new(
        folders: Folders,
        records: Records,
        layers: Layers,
        catalog: Catalog,
    ) -> Self {
        Self {
            folders,
            records,
            layers,
            catalog: RwLock::new(Arc::new(catalog)),
            settler: Settler::default(),
            changing: Mutex::new(()),
        }
    }

    /// Everything as it is now.
    pub(crate) fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes one change. `change` writes its records and then changes the catalog that it is
    /// given; if it fails, nobody sees what it did to the latter.
    pub(crate) fn change<T, E>(
        &self,
        change: impl FnOnce(&mut Catalog) -> Result<T, E>,
    ) -> Result<T, E> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut catalog = Catalog::clone(&self.catalog());
        let outcome = change(&mut catalog)?;
        *self.catalog.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(catalog);
        Ok(outcome)
    }
}
