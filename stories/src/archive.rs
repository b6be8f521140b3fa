//! File systems and images for stories, made on the spot.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::Digest as _;
use tar::{EntryType, Header};

/// Programs that the image's busybox goes by.
const APPLETS: &[&str] = &[
    "[", "ash", "awk", "basename", "cat", "chmod", "chown", "cp", "cut", "date", "dd", "df",
    "dirname", "du", "echo", "env", "expr", "false", "find", "grep", "head", "hostname", "httpd",
    "id", "ifconfig", "ip", "kill", "ln", "ls", "mkdir", "mkfifo", "mknod", "mount", "mv", "nc",
    "nproc", "nslookup", "od", "ping", "printf", "ps", "pwd", "readlink", "rm", "sed", "seq", "sh",
    "sleep", "sort", "stat", "stty", "sync", "tail", "tar", "tee", "test", "timeout", "touch",
    "tr", "true", "tty", "umount", "uname", "uniq", "usleep", "wc", "wget", "which", "whoami",
    "xargs", "yes",
];

/// What an [`Entry`] is.
#[derive(Debug, Clone)]
enum Kind {
    Folder,
    File(Vec<u8>),
    Symlink(String),
    Hardlink(String),
    Device { major: u32, minor: u32 },
    Fifo,
}

/// One entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    path: String,
    kind: Kind,
    mode: u32,
    owner: (u64, u64),
    /// Records of the PAX header that comes before it: extended attributes, times.
    records: Vec<(String, Vec<u8>)>,
}

impl Entry {
    fn new(path: &str, kind: Kind, mode: u32) -> Self {
        Self { path: path.to_owned(), kind, mode, owner: (0, 0), records: Vec::new() }
    }

    pub fn folder(path: &str) -> Self {
        Self::new(path, Kind::Folder, 0o755)
    }

    pub fn file(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Kind::File(content.into()), 0o644)
    }

    pub fn program(path: &str, content: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Kind::File(content.into()), 0o755)
    }

    pub fn symlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Symlink(target.to_owned()), 0o777)
    }

    pub fn hardlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Hardlink(target.to_owned()), 0o644)
    }

    /// A character device.
    pub fn device(path: &str, major: u32, minor: u32) -> Self {
        Self::new(path, Kind::Device { major, minor }, 0o666)
    }

    pub fn fifo(path: &str) -> Self {
        Self::new(path, Kind::Fifo, 0o644)
    }

    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    #[must_use]
    pub fn owned_by(mut self, user: u64, group: u64) -> Self {
        self.owner = (user, group);
        self
    }

    /// With a record in its PAX header: `SCHILY.xattr.user.x`, `mtime`.
    #[must_use]
    pub fn record(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.records.push((key.to_owned(), value.into()));
        self
    }
}

/// A file system, or one layer of one.
#[derive(Debug, Clone, Default)]
pub struct FileSystem {
    entries: Vec<Entry>,
}

impl FileSystem {
    pub fn empty() -> Self {
        Self::default()
    }

    /// A small system with a shell and a web page, from the host's static busybox.
    pub fn with_shell() -> Self {
        let busybox = std::fs::read("/bin/busybox").expect("busybox-static is installed");
        let mut system = Self::empty()
            .with(Entry::folder("bin"))
            .with(Entry::program("bin/busybox", busybox))
            .with(Entry::folder("etc"))
            .with(Entry::file("etc/passwd", PASSWD))
            .with(Entry::file("etc/group", GROUP))
            .with(Entry::folder("home"))
            .with(Entry::folder("home/anna").owned_by(1000, 1000))
            .with(Entry::folder("root").mode(0o700))
            .with(Entry::folder("tmp").mode(0o1777))
            .with(Entry::folder("var"))
            .with(Entry::folder("var/www"))
            .with(Entry::file("var/www/index.html", "hello from web\n"));
        for applet in APPLETS {
            let link = Entry::hardlink(&format!("bin/{applet}"), "bin/busybox");
            system = system.with(link.mode(0o755));
        }
        system
    }

    #[must_use]
    pub fn with(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// As an uncompressed tar archive.
    pub fn tar(&self) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            let records = entry.records.iter().map(|(key, value)| (key.as_str(), &value[..]));
            archive.append_pax_extensions(records).expect("memory takes all");
            append(&mut archive, entry);
        }
        archive.into_inner().expect("memory takes all")
    }

    /// The tar archive of [`FileSystem::with_shell`], made once for each process.
    pub(crate) fn shell_tar() -> &'static [u8] {
        static TAR: OnceLock<Vec<u8>> = OnceLock::new();
        TAR.get_or_init(|| Self::with_shell().tar())
    }
}

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\
    daemon:x:1:1:daemon:/:/bin/false\n\
    anna:x:1000:1000:Anna:/home/anna:/bin/sh\n";

const GROUP: &str = "root:x:0:\ndaemon:x:1:\nstaff:x:50:anna\nanna:x:1000:\n";

fn append(archive: &mut tar::Builder<Vec<u8>>, entry: &Entry) {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner.0);
    header.set_gid(entry.owner.1);
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    let path = &entry.path;
    let result = match &entry.kind {
        Kind::Folder => {
            header.set_entry_type(EntryType::Directory);
            append_raw(archive, &mut header, &format!("{path}/"), &[])
        }
        Kind::File(content) => {
            header.set_entry_type(EntryType::Regular);
            header.set_size(content.len() as u64);
            append_raw(archive, &mut header, path, content)
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            archive.append_link(&mut header, path, target)
        }
        Kind::Hardlink(target) => {
            header.set_entry_type(EntryType::Link);
            archive.append_link(&mut header, path, target)
        }
        Kind::Device { major, minor } => {
            header.set_entry_type(EntryType::Char);
            header.set_device_major(*major).expect("GNU headers have devices");
            header.set_device_minor(*minor).expect("GNU headers have devices");
            append_raw(archive, &mut header, path, &[])
        }
        Kind::Fifo => {
            header.set_entry_type(EntryType::Fifo);
            append_raw(archive, &mut header, path, &[])
        }
    };
    result.unwrap_or_else(|error| panic!("{path}: {error}"));
}

/// Appends an entry whose path may be one that a careful writer refuses: `../escape`.
fn append_raw(
    archive: &mut tar::Builder<Vec<u8>>,
    header: &mut Header,
    path: &str,
    content: &[u8],
) -> std::io::Result<()> {
    let name = &mut header.as_old_mut().name;
    if path.len() > name.len() {
        return archive.append_data(header, path, content);
    }
    name.fill(0);
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    archive.append(header, content)
}

/// An image as an archive that `load` reads.
#[derive(Debug, Clone)]
pub struct ImageArchive {
    name: String,
    layers: Vec<Vec<u8>>,
    config: Value,
}

impl ImageArchive {
    /// An image without layers; `config` is what an image's `Config` holds.
    pub fn new(name: &str, config: Value) -> Self {
        Self { name: name.to_owned(), layers: Vec::new(), config }
    }

    #[must_use]
    pub fn layer(mut self, layer: &FileSystem) -> Self {
        self.layers.push(layer.tar());
        self
    }

    /// The document that describes the image; its digest is the image's id.
    pub fn document(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| digest_of(layer)).collect();
        let history: Vec<_> = (0..self.layers.len())
            .map(|n| json!({"created": CREATED, "created_by": format!("/bin/sh -c step {n}")}))
            .collect();
        let document = json!({
            "architecture": architecture(), "os": "linux", "created": CREATED,
            "config": self.config, "history": history,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        document.to_string().into_bytes()
    }

    /// As `docker save` wrote it before version 25: a `manifest.json` that names files.
    pub fn docker_archive(&self) -> Vec<u8> {
        let document = self.document();
        let config = format!("{}.json", hex_of(&document));
        let names: Vec<_> = (0..self.layers.len()).map(|n| format!("{n}/layer.tar")).collect();
        let manifest = json!([{"Config": config, "RepoTags": [self.name], "Layers": names}]);
        let mut files = FileSystem::empty().with(Entry::file(&config, document));
        for (name, layer) in names.iter().zip(&self.layers) {
            files = files.with(Entry::file(name, layer.clone()));
        }
        files.with(Entry::file("manifest.json", manifest.to_string())).tar()
    }

    /// As `docker save` writes it since version 25: an OCI image layout that has a
    /// `manifest.json` too. Its layers are packed by `pack`, which makes `media_type`.
    pub fn docker_layout(&self, media_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let document = digest_of(&self.document()).replace("sha256:", "blobs/sha256/");
        let layers = self.layers.iter().map(|layer| digest_of(&pack(layer)));
        let layers: Vec<_> = layers.map(|d| d.replace("sha256:", "blobs/sha256/")).collect();
        let manifest = json!([{"Config": document, "RepoTags": [self.name], "Layers": layers}]);
        let manifest = Entry::file("manifest.json", manifest.to_string());
        self.layout(media_type, pack).with(manifest).tar()
    }

    /// As a plain OCI image layout.
    pub fn oci_layout(&self, media_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        self.layout(media_type, pack).tar()
    }

    fn layout(&self, media_type: &str, pack: impl Fn(&[u8]) -> Vec<u8>) -> FileSystem {
        let mut blobs = BTreeMap::new();
        let mut add = |content: Vec<u8>, media_type: &str| {
            let digest = digest_of(&content);
            let descriptor =
                json!({"mediaType": media_type, "digest": digest, "size": content.len()});
            blobs.insert(digest.replace("sha256:", "blobs/sha256/"), content);
            descriptor
        };
        let config = add(self.document(), "application/vnd.oci.image.config.v1+json");
        let layers: Vec<_> = self.layers.iter().map(|layer| add(pack(layer), media_type)).collect();
        let manifest_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2, "mediaType": manifest_type, "config": config, "layers": layers,
        });
        let mut descriptor = add(manifest.to_string().into_bytes(), manifest_type);
        descriptor["annotations"] = json!({
            "io.containerd.image.name": format!("docker.io/library/{}", self.name),
            "org.opencontainers.image.ref.name": self.name.split(':').nth(1),
        });
        let index = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [descriptor],
        });
        let mut files = FileSystem::empty()
            .with(Entry::file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#))
            .with(Entry::file("index.json", index.to_string()))
            .with(Entry::folder("blobs"))
            .with(Entry::folder("blobs/sha256"));
        for (path, content) in blobs {
            files = files.with(Entry::file(&path, content));
        }
        files
    }
}

const CREATED: &str = "2024-05-01T10:00:00Z";

/// This machine's architecture, in the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `sha256:…`
pub fn digest_of(content: &[u8]) -> String {
    format!("sha256:{}", hex_of(content))
}

fn hex_of(content: &[u8]) -> String {
    hex::encode(sha2::Sha256::digest(content))
}

/// `content`, packed by gzip.
pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(content).expect("memory takes all");
    packer.finish().expect("memory takes all")
}

/// `content`, packed by zstd.
pub fn zstd(content: &[u8]) -> Vec<u8> {
    ::zstd::encode_all(content, 1).expect("memory takes all")
}
