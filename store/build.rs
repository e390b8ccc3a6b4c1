//! Rebuilds the crate when a migration is added: the macro that embeds them cannot see that.

#[expect(clippy::print_stdout, reason = "this is how a build script talks to cargo")]
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
