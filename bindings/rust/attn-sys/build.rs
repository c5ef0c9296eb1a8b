// build.rs - finds libattn: in ATTN_LIB_DIR, or where pkg-config says.
// SPDX-License-Identifier: BSD-3-Clause
use std::env;
use std::process::Command;

/// What `pkg-config` answers, word by word; nothing where it is not there or knows no libattn.
fn pkg_config(arguments: &[&str]) -> Vec<String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_owned());
    match Command::new(program).args(arguments).arg("libattn").output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn main() {
    for variable in ["ATTN_LIB_DIR", "ATTN_STATIC", "PKG_CONFIG", "PKG_CONFIG_PATH"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let is_static = env::var_os("ATTN_STATIC").is_some();
    let kind = if is_static { "static" } else { "dylib" };
    if let Ok(folder) = env::var("ATTN_LIB_DIR") {
        println!("cargo:rustc-link-search=native={folder}");
    }
    let query: &[&str] = if is_static { &["--static", "--libs"] } else { &["--libs"] };
    println!("cargo:rustc-link-lib={kind}=attn");
    let words = pkg_config(query);
    if words.is_empty() && env::var_os("ATTN_LIB_DIR").is_none() {
        println!(
            "cargo:warning=pkg-config knows no libattn: set PKG_CONFIG_PATH, or ATTN_LIB_DIR to its folder"
        );
    }
    for word in words {
        match (word.get(..2), word.get(2..)) {
            (Some("-L"), Some(folder)) => println!("cargo:rustc-link-search=native={folder}"),
            (Some("-l"), Some(library)) if library != "attn" => println!("cargo:rustc-link-lib={library}"),
            _ => (),
        }
    }
}
