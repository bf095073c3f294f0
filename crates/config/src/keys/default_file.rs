//! Holds `config/default.toml` to the table: every key, in order, with its default and its help.

use std::path::Path;

use super::*;
use crate::{error::Errors, layers::File};

const TEXT: &str = include_str!("../../../../config/default.toml");

/// Where the keys of a site begin.
const SITE: &str = "\n#[[site]]\n";

/// A key in the file: the comment above it, and what stands after its `=`.
#[derive(Debug, Default)]
struct Entry {
    name: String,
    comment: String,
    value: String,
}

/// Those of the top level.
fn entries() -> Vec<Entry> {
    entries_of(TEXT.split_once(SITE).expect("the keys of a site").0)
}

/// Those of a site.
fn site_entries() -> Vec<Entry> {
    entries_of(TEXT.split_once(SITE).expect("the keys of a site").1)
}

/// `# text` is a comment, `#key = value` a setting.
fn entries_of(text: &str) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        match line.strip_prefix('#').map(|rest| (rest, rest.split_once(" = "))) {
            Some((rest, Some((name, value)))) if !rest.starts_with([' ', '#']) => {
                let comment = std::mem::take(&mut comment);
                entries.push(Entry { name: name.into(), comment, value: value.into() });
            }
            Some((rest, _)) => comment.push_str(rest),
            None => comment.clear(),
        }
    }
    entries
}

#[test]
fn every_key_of_the_file_is_in_it_in_order() {
    let names: Vec<_> = entries().into_iter().map(|entry| entry.name).collect();
    let expected: Vec<_> = keys().iter().filter(|key| key.in_file).map(|key| key.name).collect();
    assert_eq!(names, expected);
}

#[test]
fn it_says_what_the_help_says_and_names_the_default() {
    for Entry { name, comment, value } in entries().into_iter().chain(site_entries()) {
        let key = find(&name).or_else(|| site::find(&name)).unwrap();
        assert!(comment.starts_with(&format!(" {}.", key.help)), "{name}: {comment}");
        match key.presets {
            [_, Preset::Value(default)] => assert_eq!(value.trim_matches(['"', '[', ']']), default, "{name}"),
            [_, Preset::Described(words)] => {
                assert!(comment.contains(&format!("Default: {words}")), "{name}: {comment}");
            }
        }
        if let [Preset::Value(dev), prod] = key.presets
            && prod != Preset::Value(dev)
        {
            assert!(comment.contains(&format!("In profile dev: {dev}.")), "{name}: {comment}");
        }
    }
}

#[test]
fn its_settings_are_a_file_that_is_accepted() {
    let settings: Vec<_> =
        entries().into_iter().map(|Entry { name, comment: _, value }| format!("{name} = {value}")).collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stack.toml"), settings.join("\n")).unwrap();
    let mut problems = Vec::new();
    let file = File::read(Path::new("stack.toml"), directory.path(), &mut problems).unwrap();
    assert!(problems.is_empty(), "{}", Errors::sorted(problems));
    assert_eq!(file.values.len(), keys().iter().filter(|key| key.in_file).count());
}

#[test]
fn every_key_of_a_site_is_in_it() {
    let names: Vec<_> = site_entries().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, site::OWN.iter().map(|key| key.name).collect::<Vec<_>>());
    let (top, _) = TEXT.split_once(SITE).unwrap();
    let words = top.split("## Sites").nth(1).unwrap().replace("\n#", "");
    for (begin, end, keys) in
        [("set here: ", ";", site::INHERITED), ("none unless set here: ", ".", site::NOT_INHERITED)]
    {
        let list = words.split(begin).nth(1).and_then(|rest| rest.split(end).next()).unwrap();
        assert_eq!(list.split(", ").map(str::trim).collect::<Vec<_>>(), keys);
    }
}

#[test]
fn the_settings_of_a_site_are_accepted_in_one() {
    let settings: Vec<_> = site_entries()
        .into_iter()
        .chain(entries().into_iter().filter(|entry| site::find(&entry.name).is_some()))
        .map(|Entry { name, comment: _, value }| format!("{name} = {value}\n"))
        .collect();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("stack.toml"), format!("[[site]]\n{}", settings.concat())).unwrap();
    let mut problems = Vec::new();
    let file = File::read(Path::new("stack.toml"), directory.path(), &mut problems).unwrap();
    assert!(problems.is_empty(), "{}", Errors::sorted(problems));
    assert_eq!(file.sites[0].values.len(), site::all().count());
}

#[test]
fn as_it_is_it_sets_nothing() {
    assert!(TEXT.lines().all(|line| line.is_empty() || line.starts_with('#')), "every line is a comment");
}
