//! Writes the rows of the table of raw requests into a corpus of the fuzz target: `seeds DIRECTORY`.
#![forbid(unsafe_code)]

use std::{fs, path::PathBuf};

/// The fuzz target's first byte says in how many pieces the rest is sent.
const IN_ONE_PIECE: u8 = 0;

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("a directory"));
    fs::create_dir_all(&directory).expect("a writable directory");
    for row in stack_reference::table() {
        let name: String = row.name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
        let seed = [vec![IN_ONE_PIECE], row.bytes()].concat();
        fs::write(directory.join(name), seed).expect("a writable directory");
    }
}
