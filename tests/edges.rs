//! The shape of the project: which crate may know which, where `unsafe` may stand, and what lies at the top.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Each package with the packages of this project that it may depend on, for its tests as well.
const EDGES: &[(&str, &[&str])] = &[
    (
        "stack",
        &[
            "stack-bridge",
            "stack-changes",
            "stack-config",
            "stack-front",
            "stack-interp",
            "stack-listen",
            "stack-process",
            "stack-reference",
            "stack-supervisor",
            "stack-wsgi",
        ],
    ),
    ("stack-front", &["stack-bridge", "stack-config", "stack-listen", "stack-reference"]),
    ("stack-listen", &["stack-config"]),
    ("stack-process", &["stack-bridge"]),
    ("stack-supervisor", &["stack-config", "stack-listen"]),
    ("stack-wsgi", &["stack-bridge", "stack-config", "stack-interp"]),
    ("stack-bench", &[]),
    ("stack-bridge", &[]),
    ("stack-changes", &[]),
    ("stack-config", &[]),
    ("stack-interp", &[]),
    ("stack-reference", &[]),
];

/// What a visitor sees first. Files whose names begin with a dot are not counted.
const TOP_LEVEL: &[&str] =
    &["CHANGELOG.md", "Cargo.lock", "Cargo.toml", "LICENSE", "README.md", "config", "crates", "docker", "src", "tests"];

/// Made by a build, and ignored by git.
const BUILT: &[&str] = &["target"];

/// The one crate that may hold unsafe code, and the one function outside it: adopting a descriptor by its number
/// (`fd://N`) can not be done safely.
const UNSAFE_PLACES: &[&str] =
    &["crates/interp", "crates/listen/src/inherited.rs", "crates/front/src/transport/unsent.rs"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The packages of this project, as cargo tells of them.
fn packages() -> Vec<serde_json::Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(root().join("Cargo.toml"))
        .output()
        .expect("cargo runs this test");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

#[test]
fn a_crate_knows_only_the_crates_below_it() {
    let packages = packages();
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a package has a name").to_owned();
    let edges: BTreeMap<String, BTreeSet<String>> = packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
            // A dependency by path is one of ours.
            let ours = dependencies.iter().filter(|dependency| dependency["path"].is_string());
            (name(package), ours.map(name).collect())
        })
        .collect();
    for (package, dependencies) in &edges {
        let (_, allowed) = EDGES
            .iter()
            .find(|(known, _)| known == package)
            .unwrap_or_else(|| panic!("{package} is new: add it to the edges, here and in crates/README.md"));
        for dependency in dependencies {
            assert!(allowed.contains(&dependency.as_str()), "{package} must not know {dependency}");
        }
    }
    for (package, _) in EDGES {
        assert!(edges.contains_key(*package), "{package} is gone: remove it from the edges");
    }
}

/// The feature `counts` is asked for by whoever counts instructions, and by nothing in a manifest.
#[test]
fn what_is_open_to_the_instruction_counts_is_closed_in_a_plain_build() {
    let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
    let is_counts = |feature: &serde_json::Value| feature.as_str().is_some_and(|name| name.ends_with("counts"));
    let mut with_it = BTreeSet::new();
    for package in packages() {
        if package["features"]["counts"].is_array() {
            with_it.insert(package["name"].as_str().expect("a package has a name").to_owned());
        }
        assert!(!list(&package["features"]["default"]).iter().any(is_counts), "{} has it by default", package["name"]);
        for dependency in list(&package["dependencies"]) {
            let is_on = list(&dependency["features"]).iter().any(is_counts);
            assert!(!is_on, "{} turns it on in {}", package["name"], dependency["name"]);
        }
    }
    assert_eq!(with_it, ["stack", "stack-front", "stack-wsgi"].map(str::to_owned).into());
}

#[test]
fn unsafe_code_stands_where_it_is_allowed() {
    let mut sources = Vec::new();
    for folder in ["src", "crates", "tests"] {
        rust_files(&root().join(folder), &mut sources);
    }
    assert!(sources.len() > 20, "only {} files were found", sources.len());
    let mut found = Vec::new();
    let is_allowed = |path: &PathBuf| UNSAFE_PLACES.iter().any(|place| path.starts_with(root().join(place)));
    for path in sources.iter().filter(|path| !is_allowed(path)) {
        let source = fs::read_to_string(path).expect("a source file is UTF-8");
        for (number, line) in source.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // Every second part is inside a string; `unsafe_code` is a lint's name and another word.
            let unquoted: Vec<_> = code.split('"').step_by(2).collect();
            let unquoted = unquoted.join(" ");
            if unquoted.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe") {
                found.push(format!("{}:{}: {line}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "unsafe code outside {UNSAFE_PLACES:?}:\n{}", found.join("\n"));
}

#[test]
fn every_other_crate_refuses_unsafe_code() {
    for entry in fs::read_dir(root().join("crates")).expect("the crates").flatten() {
        let folder = entry.path();
        if !folder.is_dir() || folder.ends_with("interp") {
            continue;
        }
        // `deny` lets a single place say why it must; `forbid` does not even let it ask.
        let lint = if folder.ends_with("front") || folder.ends_with("listen") {
            "#![deny(unsafe_code)]"
        } else {
            "#![forbid(unsafe_code)]"
        };
        let library = fs::read_to_string(folder.join("src/lib.rs")).expect("each crate is a library");
        assert!(library.contains(lint), "{} allows unsafe code", folder.display());
    }
}

#[test]
fn every_code_in_the_log_is_explained_in_the_readme() {
    let codes = |text: &str| -> BTreeSet<String> {
        let after = text.match_indices("STACK0").map(|(start, _)| text[start..].chars().take(9).collect());
        after.filter(|code: &String| code[5..].bytes().all(|byte| byte.is_ascii_digit())).collect()
    };
    let mut sources = Vec::new();
    for folder in ["src", "crates"] {
        rust_files(&root().join(folder), &mut sources);
    }
    let logged: BTreeSet<String> =
        sources.iter().flat_map(|path| codes(&fs::read_to_string(path).expect("a source file is UTF-8"))).collect();
    let readme = fs::read_to_string(root().join("README.md")).expect("there is a README");
    let rows = readme.lines().filter(|line| line.starts_with("| STACK0"));
    let explained: Vec<String> = rows.map(|line| line.chars().skip(2).take(9).collect()).collect();
    let once: BTreeSet<String> = explained.iter().cloned().collect();
    assert_eq!(explained.len(), once.len(), "a code stands twice in the table");
    assert_eq!(logged, once, "left: codes in the sources, right: rows of the README's table");
}

#[test]
fn nothing_new_lies_at_the_top() {
    for entry in fs::read_dir(root()).expect("the project").flatten() {
        let name = entry.file_name().into_string().expect("a plain name");
        let known = name.starts_with('.') || TOP_LEVEL.contains(&name.as_str()) || BUILT.contains(&name.as_str());
        assert!(known, "{name} does not belong at the top of the project");
    }
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project").flatten() {
        let path = entry.path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
