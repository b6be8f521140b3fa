//! Makes `linux::entry` the program's entry, where it has one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        println!("cargo::rustc-link-arg-bin=wharf-runtime=-Wl,--entry=entry_read_only");
    }
}
