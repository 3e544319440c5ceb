//! The crate holds the web app's files: it is built anew when they change, or come or go.

fn main() {
    println!("cargo:rerun-if-changed=../ui/dist");
    println!("cargo:rerun-if-changed=build.rs");
}
