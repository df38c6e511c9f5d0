//! Generates the gRPC code, builds the default components and compiles them, so that `cargo build` is all it takes.

#[path = "build/precompile.rs"]
mod precompile;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-wasip2";
/// What is built together has its dependencies' features together, and the policy does without `std`.
const GUESTS: [&[&str]; 2] = [&["renderer", "misbehaving"], &["policy"]];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    grpc(&root);
    commit(&root);
    go_runtime(&root, &out);
    guests(&root, &out);
}

fn grpc(root: &Path) {
    let proto = root.join("proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let files = [
        "common",
        "user",
        "session",
        "product",
        "discount",
        "order",
        "notification",
        "plugin",
        "host",
        "suppression",
        "webhook",
    ]
    .map(|name| format!("ecomm/v1/{name}.proto"));
    let descriptors = protox::compile(files, [&proto]).unwrap_or_else(|e| fail(&format!("the gRPC contract: {e}")));
    // For reflection; and maps in one order, so that the same request is the same bytes.
    let out = std::env::var("OUT_DIR").unwrap_or_else(|e| fail(&format!("OUT_DIR: {e}")));
    let encoded = prost::Message::encode_to_vec(&descriptors);
    std::fs::write(std::path::Path::new(&out).join("ecomm.v1.bin"), encoded)
        .unwrap_or_else(|e| fail(&format!("the gRPC contract: {e}")));
    let compiled = tonic_prost_build::configure().btree_map(".").compile_fds(descriptors);
    compiled.unwrap_or_else(|e| fail(&format!("the gRPC contract: {e}")));
}

/// Which commit this is: as a release says, or in an optimised build as git does. Others are not built anew for each commit.
fn commit(root: &Path) {
    println!("cargo::rerun-if-env-changed=ECOMM_COMMIT");
    let git = |args: &[&str]| {
        let output = Command::new("git").current_dir(root).args(args).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !said.is_empty()).then_some(said)
    };
    let mut commit = env::var("ECOMM_COMMIT").ok();
    if commit.is_none() && env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        commit = git(&["rev-parse", "--short=12", "HEAD"]);
        let head = git(&["symbolic-ref", "--quiet", "HEAD"]).unwrap_or_else(|| "HEAD".to_owned());
        for file in ["HEAD", &head].into_iter().filter_map(|name| git(&["rev-parse", "--git-path", name])) {
            println!("cargo::rerun-if-changed={}", root.join(file).display());
        }
    }
    println!("cargo::rustc-env=ECOMM_COMMIT={}", commit.unwrap_or_default());
}

/// What Go's bindings need of a module that their generator ships: its files, for projects of plugin authors.
fn go_runtime(root: &Path, out: &Path) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Of this platform only: on a fresh machine, no other's packages are there.
    let platform = env::var("HOST").unwrap_or_default();
    cargo.current_dir(root).args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &platform]);
    let output = cargo.output().unwrap_or_else(|e| fail(&format!("cargo does not start: {e}")));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| fail(&format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr))));
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let manifest =
        packages.into_iter().find(|p| p["name"] == "wit-bindgen-go").and_then(|p| p["manifest_path"].as_str());
    let manifest = PathBuf::from(manifest.unwrap_or_else(|| fail("wit-bindgen-go is not among the packages")));
    let files = ["go.mod", "LICENSE", "wit/async/async.go", "wit/async/empty.s"].into_iter().chain(
        ["future", "option", "result", "stream", "tuple", "unit"].map(|name| &*format!("wit/types/{name}.go").leak()),
    );
    let files = files.chain(["wit/runtime/runtime.go"]).map(|name| {
        let path = manifest.with_file_name("src").join("pkg").join(name);
        format!("({name:?}, include_str!({:?})),\n", path.display().to_string())
    });
    let list = format!("[\n{}]\n", files.collect::<String>());
    std::fs::write(out.join("go_runtime.rs"), list).unwrap_or_else(|e| fail(&format!("go_runtime.rs: {e}")));
}

/// Builds the guests optimised, whatever the host's profile, in a target folder of their own: cargo holds a lock on
/// the one that is in use.
fn guests(root: &Path, out: &Path) {
    for watched in ["plugins/arena", "plugins/renderer", "plugins/policy", "plugins/misbehaving", "wit", "Cargo.lock"] {
        let path = root.join(watched);
        if path.is_dir() && watched.starts_with("plugins") {
            for part in ["src", "locales", "templates", "config.schema.json", "Cargo.toml"]
                .map(|p| path.join(p))
                .iter()
                .filter(|p| p.exists())
            {
                println!("cargo::rerun-if-changed={}", part.display());
            }
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    add_target(root);
    let target_dir = out.join("guests");
    for set in GUESTS {
        build(root, &target_dir, set);
    }
    for guest in GUESTS.into_iter().flatten() {
        let from = target_dir.join(TARGET).join("release").join(format!("{guest}.wasm"));
        let to = out.join(format!("{guest}.wasm"));
        if let Err(e) = std::fs::copy(&from, &to) {
            fail(&format!("{} cannot be copied: {e}", from.display()));
        }
    }
    println!("cargo::rustc-env=MISBEHAVING_WASM={}", out.join("misbehaving.wasm").display());
    println!("cargo::rerun-if-changed=src/plugin/codegen.rs");
    println!("cargo::rerun-if-changed=src/plugin/memory.rs");
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-changed=build.rs");
    for slot in ["renderer", "policy"] {
        compile(out, slot).unwrap_or_else(|e| fail(&format!("the default {slot} cannot be compiled: {e:#}")));
    }
}

fn compile(out: &Path, slot: &str) -> wasmtime::Result<()> {
    let [host, target] = ["HOST", "TARGET"].map(|name| env::var(name).unwrap_or_default());
    let wasm = std::fs::read(out.join(format!("{slot}.wasm")))?;
    let made = precompile::precompile(&wasm, (host != target).then_some(target.as_str()))?;
    Ok(std::fs::write(out.join(format!("{slot}.compiled")), made)?)
}

fn build(root: &Path, target_dir: &Path, guests: &[&str]) {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["build", "--quiet", "--release", "--locked", "--target", TARGET, "--target-dir"]);
    cargo.arg(target_dir).args(guests.iter().flat_map(|g| ["-p", g]));
    // What was set for the host's build does not fit the guests'.
    for set in ["RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(set);
    }
    cargo.env("CARGO_PROFILE_RELEASE_LTO", "true").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1");
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "false").env("CARGO_PROFILE_RELEASE_STRIP", "true");
    cargo.args(["--config", &remapped(root, target_dir)]);
    let output = cargo.output().unwrap_or_else(|e| fail(&format!("cargo does not start: {e}")));
    if !output.status.success() {
        fail(&format!("the default components do not build:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
}

/// The same component, known by the same digest, wherever it is built: paths of this machine are not in it.
fn remapped(root: &Path, target_dir: &Path) -> String {
    let root = root.canonicalize().unwrap_or_else(|e| fail(&format!("{}: {e}", root.display())));
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).unwrap_or_default();
    // The last that fits is taken.
    let flags = [(&*root, "/ecomm"), (&*home, "/cargo"), (target_dir, "/target")]
        .map(|(from, to)| format!("'--remap-path-prefix={}={to}'", from.display()));
    format!("target.{TARGET}.rustflags = [{}]", flags.join(", "))
}

fn add_target(root: &Path) {
    let sysroot =
        Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default();
    let installed = || Path::new(&sysroot).join("lib/rustlib").join(TARGET).join("lib").is_dir();
    if installed() {
        return;
    }
    let added = Command::new("rustup").current_dir(root).args(["target", "add", TARGET]).status();
    if !added.is_ok_and(|s| s.success()) || !installed() {
        fail(&format!("the default components need the target {TARGET}; run: rustup target add {TARGET}"));
    }
}

fn fail(why: &str) -> ! {
    for line in why.lines() {
        println!("cargo::error={line}");
    }
    exit(1)
}
