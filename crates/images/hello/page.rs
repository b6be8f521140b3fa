//! What is printed.

use core::ffi::CStr;
use core::fmt::{self, Write};

use crate::kernel;

/// Bits of the capability sets, in the kernel's order.
const CAPABILITIES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The width of a line.
const WIDTH: usize = 78;

/// The width of what comes before a line's text.
const TOPIC_WIDTH: usize = 16;

/// Adds formatted text. A page takes whatever fits, so that there is no error to look at.
macro_rules! put {
    ($page:expr, $($argument:tt)*) => {
        let _ = write!($page, $($argument)*);
    };
}

/// The page under construction. It is written in one go, so that nothing comes between.
struct Page {
    text: [u8; 8192],
    length: usize,
    /// Bytes of the current line.
    column: usize,
}

impl Write for Page {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

impl Page {
    fn bytes(&mut self, bytes: &[u8]) {
        let space = &mut self.text[self.length..];
        let length = bytes.len().min(space.len());
        space[..length].copy_from_slice(&bytes[..length]);
        self.length += length;
        for byte in bytes {
            self.column = if *byte == b'\n' { 0 } else { self.column + 1 };
        }
    }

    /// Adds one of several words, on a new line if this one is full.
    fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > WIDTH {
            put!(self, "\n{:<TOPIC_WIDTH$}", "");
        } else if self.column > TOPIC_WIDTH {
            self.bytes(b" ");
        }
        self.bytes(word.as_bytes());
    }

    /// Begins a line with what it is about.
    fn topic(&mut self, name: &str) {
        put!(self, "  {name:<0$}", TOPIC_WIDTH - 2);
    }

    /// The number of a namespace, which tells it from the host's.
    fn namespace(&mut self, link: &CStr) {
        let mut buffer = [0; 64];
        if let Some(target) = kernel::read_link(link, &mut buffer) {
            self.bytes(b"  (");
            self.bytes(target);
            self.bytes(b")");
        }
        self.bytes(b"\n");
    }
}

/// Prints the page. Whether that worked.
pub(crate) fn print() -> bool {
    let mut page = Page { text: [0; 8192], length: 0, column: 0 };
    page.bytes(
        b"\nHello from a container!\n\n\
        This is not a virtual machine. It is a process of your Linux kernel, like any\n\
        other, that sees and may do only what it was given. To print this, in order:\n\n  \
        1. The client asked the daemon for a container from the image `hello`.\n  \
        2. The daemon had the image built in, and unpacked its one file.\n  \
        3. A small supervisor was started, which outlives the daemon.\n  \
        4. It cloned this process into namespaces of its own, gave it a root file\n     \
           system and limits, took away its privileges, and started this program.\n  \
        5. What it writes went straight from the supervisor to your terminal.\n\n\
        What isolates it, as it sees it from inside:\n\n",
    );
    let mut status = [0; 4096];
    let status = kernel::read(c"/proc/self/status", &mut status).unwrap_or_default();
    processes(&mut page);
    names(&mut page);
    user(&mut page, status);
    files(&mut page);
    network(&mut page);
    group(&mut page);
    capabilities(&mut page, status);
    system_calls(&mut page, status);
    hidden(&mut page);
    page.bytes(
        b"\nThe numbers in brackets name namespaces: compare `ls -l /proc/self/ns` outside.\n\
        Next, a shell: load an image (`load -i FILE`), then `run -it IMAGE sh`.\n\n",
    );
    let length = page.length;
    kernel::write_all(&page.text[..length])
}

fn processes(page: &mut Page) {
    page.topic("processes");
    let mut count = 0;
    kernel::names_in(c"/proc", |name| {
        if name.iter().all(u8::is_ascii_digit) {
            count += 1;
        }
    });
    put!(page, "I am number {}; I see {count} in all", kernel::process_id());
    page.namespace(c"/proc/self/ns/pid");
}

fn names(page: &mut Page) {
    page.topic("host name");
    let mut buffer = [0; 256];
    let name = kernel::read(c"/proc/sys/kernel/hostname", &mut buffer).unwrap_or(b"unknown");
    page.bytes(name.trim_ascii());
    page.namespace(c"/proc/self/ns/uts");
}

fn user(page: &mut Page, status: &[u8]) {
    page.topic("user");
    let first = |name| field(status, name).split(|byte| *byte == b'\t').next().unwrap_or_default();
    page.bytes(b"uid ");
    page.bytes(first("Uid:"));
    page.bytes(b", gid ");
    page.bytes(first("Gid:"));
    page.namespace(c"/proc/self/ns/user");
}

fn files(page: &mut Page) {
    page.topic("files");
    let mut buffer = [0; 8192];
    let mounts = kernel::read(c"/proc/self/mounts", &mut buffer).unwrap_or_default();
    // device, place, type, options: of the root that was mounted last.
    let mut root: &[u8] = b"unknown";
    let mut count = 0;
    for line in mounts.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        count += 1;
        let mut words = line.split(|byte| *byte == b' ').skip(1);
        if words.next() == Some(b"/") {
            root = words.next().unwrap_or_default();
        }
    }
    page.bytes(b"my root is an ");
    page.bytes(root);
    put!(page, "; {count} mounts");
    page.namespace(c"/proc/self/ns/mnt");
}

fn network(page: &mut Page) {
    page.topic("network");
    let is_known = kernel::names_in(c"/sys/class/net", |name| {
        page.word(core::str::from_utf8(name).unwrap_or("?"));
    });
    if !is_known {
        page.bytes(b"no list of interfaces");
    }
    page.namespace(c"/proc/self/ns/net");
}

fn group(page: &mut Page) {
    page.topic("limits");
    let mut buffer = [0; 4096];
    let groups = kernel::read(c"/proc/self/cgroup", &mut buffer).unwrap_or_default();
    let path = groups
        .split(|byte| *byte == b'\n')
        .filter_map(|line| line.splitn(3, |byte| *byte == b':').nth(2))
        .max_by_key(|path| path.len());
    page.bytes(b"cgroup ");
    let path = path.unwrap_or(b"unknown");
    page.bytes(&path[..path.len().min(WIDTH - 52)]);
    page.bytes(if path.len() > WIDTH - 52 { b"..." } else { b"" });
    page.namespace(c"/proc/self/ns/cgroup");
}

fn capabilities(page: &mut Page, status: &[u8]) {
    page.topic("privileges");
    let mut mask = 0_u64;
    for digit in field(status, "CapEff:") {
        mask = mask << 4 | u64::from((*digit as char).to_digit(16).unwrap_or_default());
    }
    put!(page, "{} of root's {}:", mask.count_ones(), CAPABILITIES.len());
    for (bit, name) in CAPABILITIES.iter().enumerate() {
        if mask & 1 << bit != 0 {
            page.word(name);
        }
    }
    page.bytes(b"\n");
}

fn system_calls(page: &mut Page, status: &[u8]) {
    page.topic("system calls");
    page.bytes(match field(status, "Seccomp:") {
        b"2" => b"filtered: a call that containers do not need is refused",
        b"1" => b"only read, write and exit",
        _ => b"not filtered",
    });
    page.bytes(match field(status, "NoNewPrivs:") {
        b"1" => b";\n                no program can gain privileges\n".as_slice(),
        _ => b"\n".as_slice(),
    });
}

/// Things that are dangerous or none of a container's business.
fn hidden(page: &mut Page) {
    page.topic("hidden");
    let mut is_any = false;
    let mut buffer = [0; 1];
    for (path, name) in [
        (c"/proc/kcore", "/proc/kcore"),
        (c"/proc/keys", "/proc/keys"),
        (c"/proc/timer_list", "/proc/timer_list"),
        (c"/dev/mem", "/dev/mem"),
    ] {
        if kernel::read(path, &mut buffer).is_none_or(<[u8]>::is_empty) {
            page.word(name);
            is_any = true;
        }
    }
    for (path, name) in [(c"/sys/firmware", "/sys/firmware"), (c"/proc/acpi", "/proc/acpi")] {
        let mut entries = 0;
        kernel::names_in(path, |_| entries += 1);
        if entries == 0 {
            page.word(name);
            is_any = true;
        }
    }
    page.bytes(if is_any { b"\n" } else { b"nothing\n" });
}

/// The value of a field of `/proc/self/status`.
fn field<'a>(status: &'a [u8], name: &str) -> &'a [u8] {
    status
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name.as_bytes()))
        .unwrap_or_default()
        .trim_ascii()
}
