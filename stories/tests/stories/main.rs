//! The product's promises. Each file is a topic, each test a promise.

mod attach;
mod auto_remove;
mod bad_values;
mod client_library;
mod commit;
mod copy;
mod crash;
mod daemon_flags;
mod debug;
mod diff;
mod disk_usage;
mod events;
mod exec;
mod export;
mod fail_points;
mod flags;
mod health;
mod hostile;
mod images;
mod init;
mod inspect;
mod leaks;
mod lifecycle;
mod limits;
mod links;
mod log_drivers;
mod logs;
mod networks;
mod ps_format;
mod publish;
mod restart_policy;
mod run;
mod runtimes;
mod start_order;
mod stats;
mod stock_client;
mod stop;
mod storm;
mod stuck;
mod system;
mod update;
mod upgrade;
mod volume_options;
mod volumes;
mod websocket;
mod why;

/// A file that is not named above would not be compiled, and nobody would notice.
#[test]
fn no_topic_is_forgotten() {
    let source = include_str!("main.rs");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stories");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let topic = name.trim_end_matches(".rs");
        assert!(topic == "main" || source.contains(&format!("mod {topic};\n")), "{name}");
    }
}
