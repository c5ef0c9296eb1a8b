// header.rs - the crate against attn.h: layouts by a C compiler, and that nothing is missing.
// SPDX-License-Identifier: BSD-3-Clause
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::{env, fs};

use attn_sys::*;

type Fields = &'static [(&'static str, usize, usize)];

fn structs() -> Vec<(&'static str, usize, Fields)> {
    macro_rules! table {
        ($($name:ident)*) => { vec![$((stringify!($name), std::mem::size_of::<$name>(), $name::FIELDS)),*] };
    }
    table!(attn_options attn_args attn_self_args attn_merge_args attn_plan attn_softmax_args attn_info)
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn lines(command: &mut Command) -> String {
    String::from_utf8(run(command).stdout).unwrap()
}

/// The folder of the headers: that of pkg-config, or that of this source.
fn include() -> PathBuf {
    let known = Command::new("pkg-config").args(["--variable=includedir", "libattn"]).output();
    match known {
        Ok(output) if output.status.success() => {
            PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
        }
        _ => PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../include")),
    }
}

/// The header without comments.
fn header() -> String {
    let mut rest = &*fs::read_to_string(include().join("attn/attn.h")).unwrap();
    let mut code = String::new();
    while let Some((before, after)) = rest.split_once("/*") {
        code.push_str(before);
        rest = after.split_once("*/").unwrap().1;
    }
    code + rest
}

/// What a C program prints that includes the header.
fn printed_by_c(name: &str, body: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (source, program) = (folder.join(format!("{name}.c")), folder.join(name));
    let includes = "#include <attn/attn.h>\n#include <stddef.h>\n#include <stdio.h>\n";
    fs::write(&source, format!("{includes}int main(void) {{\n{body}return 0;\n}}\n")).unwrap();
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    run(Command::new(compiler).arg("-I").arg(include()).arg(&source).arg("-o").arg(&program));
    lines(&mut Command::new(program))
}

#[test]
fn layouts_are_those_of_c() {
    let (mut asked, mut expected) = (String::new(), String::new());
    for (name, size, fields) in structs() {
        asked += &format!("printf(\"{name} %zu\\n\", sizeof({name}));\n");
        expected += &format!("{name} {size}\n");
        for (field, offset, size) in fields {
            asked += &format!(
                "printf(\"{name}.{field} %zu %zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));\n"
            );
            expected += &format!("{name}.{field} {offset} {size}\n");
        }
    }
    assert_eq!(printed_by_c("layouts", &asked), expected);
}

#[test]
fn offsets_are_those_asserted() {
    macro_rules! check {
        ($($name:ident)*) => { $(
            assert!($name::offsets().eq($name::FIELDS.iter().map(|field| field.1)), stringify!($name));
            assert_eq!($name::default().size, std::mem::size_of::<$name>() as u64);
        )* };
    }
    check!(attn_options attn_args attn_self_args attn_merge_args attn_plan attn_softmax_args attn_info);
}

/// The words of a text that begin so.
fn words<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with(beginning))
        .collect()
}

#[test]
fn no_struct_field_constant_or_function_is_missing() {
    let header = header();
    let mut declared = BTreeSet::new();
    for part in header.split("typedef struct ").skip(1).filter(|part| part.contains('{')) {
        declared.insert(part.split_whitespace().next().unwrap());
    }
    assert_eq!(declared.into_iter().filter(|name| !name.ends_with(';')).collect::<BTreeSet<_>>(), {
        structs().iter().map(|(name, ..)| *name).collect::<BTreeSet<_>>()
    });
    for (name, _, fields) in structs() {
        let body = header.split(&format!("typedef struct {name} {{")).nth(1).unwrap();
        let body = body.split(&format!("}} {name};")).next().unwrap();
        let count = body
            .split(';')
            .map(|line| line.split('(').next().unwrap())
            .map(|line| line.matches(',').count());
        assert_eq!(fields.len() + 1, count.map(|commas| commas + 1).sum::<usize>(), "{name}");
    }
    let constants: BTreeSet<_> = CONSTANTS.iter().map(|(name, _)| *name).collect();
    let expected = words(&header, "ATTN_").into_iter();
    let is_value = |name: &&str| !name.starts_with("ATTN_VERSION_") && *name != "ATTN_ATTN_H";
    assert_eq!(expected.filter(is_value).collect::<BTreeSet<_>>(), constants);
    let functions: BTreeSet<_> = FUNCTIONS.iter().copied().collect();
    let called = words(&header, "attn_").into_iter();
    assert_eq!(
        called.filter(|name| header.contains(&format!("{name}("))).collect::<BTreeSet<_>>(),
        functions
    );
}

#[test]
fn numbers_are_those_of_c() {
    let mut asked =
        "printf(\"%d\\n\", ATTN_VERSION_MAJOR * 10000 + ATTN_VERSION_MINOR * 100 + ATTN_VERSION_PATCH);\n"
            .to_owned();
    let mut expected = format!("{ATTN_VERSION}\n");
    for (name, value) in CONSTANTS {
        asked += &format!("printf(\"{name} %d\\n\", {name});\n");
        expected += &format!("{name} {value}\n");
    }
    assert_eq!(printed_by_c("numbers", &asked), expected);
    let version = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse::<i32>().unwrap());
    assert_eq!(version.fold(0, |number, part| number * 100 + part), ATTN_VERSION);
}
