//! Writes the rows of the table of raw requests into a corpus: `seeds DIRECTORY`.

use std::{fs, path::PathBuf};

fn main() {
    let directory = PathBuf::from(std::env::args_os().nth(1).expect("a directory"));
    fs::create_dir_all(&directory).expect("a writable directory");
    for row in stack_reference::table() {
        let name: String = row.name.chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
        // In one piece.
        let seed = [vec![0], row.bytes()].concat();
        fs::write(directory.join(name), seed).expect("a writable directory");
    }
}
