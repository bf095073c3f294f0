//! A thread's Python stack, read without its interpreter: for one whose GIL is held by a C call that does not return.
//!
//! CPython tells profilers and debuggers where it keeps what they look for (`_Py_DebugOffsets`, since 3.13). This reads
//! this process's memory by way of the system, as those do another's: where nothing is mapped that fails, and crashes
//! nothing. What is read while a thread runs after all may be nonsense; it is bounded, and only ever shown.

use std::{fs::File, os::unix::fs::FileExt};

use pyo3_ffi as ffi;

use crate::calls::{self, Call, SHOWN};

/// Frames that are looked at.
const DEEPEST: usize = 200;
/// Much more than any name or table of lines.
const LONGEST_NAME: u64 = 1024;
const LONGEST_TABLE: u64 = 1 << 20;

/// 64-bit words in front of the offsets: a cookie, the version, the kind of build.
const HEAD: usize = 3;
const COOKIE: u64 = u64::from_le_bytes(*b"xdebugpy");
const WORDS: usize = 96;

unsafe extern "C" {
    /// Begins with the offsets.
    static _PyRuntime: [u64; WORDS];
}

/// Where the sections begin whose words are used, and how long those are in front of them.
struct Layout {
    thread_state: usize,
    frame: usize,
    code: usize,
    object: usize,
    bytes: usize,
    text: usize,
}

/// Python 3.13 and 3.14; another one is read when its layout is known here.
fn layout(minor: u64) -> Option<Layout> {
    match minor {
        13 => Some(Layout { thread_state: 19, frame: 28, code: 34, object: 44, bytes: 64, text: 67 }),
        14 => Some(Layout { thread_state: 22, frame: 31, code: 39, object: 50, bytes: 74, text: 77 }),
        _ => None,
    }
}

/// The stack of the thread with this thread state, as a traceback prints it. `None` where it can not be read.
pub(crate) fn stack(thread_state: usize) -> Option<String> {
    let reader = Reader::new()?;
    let mut frame = reader.word(thread_state as u64 + reader.offset(reader.layout.thread_state, 4))?;
    let mut calls = Vec::new();
    for _ in 0..DEEPEST {
        if frame == 0 || calls.len() == SHOWN {
            break;
        }
        calls.extend(reader.call(frame));
        frame = reader.word(frame + reader.offset(reader.layout.frame, 1))?;
    }
    (!calls.is_empty()).then(|| calls::describe(calls))
}

struct Reader {
    memory: File,
    words: [u64; WORDS],
    layout: Layout,
    code_type: u64,
}

impl Reader {
    fn new() -> Option<Self> {
        // SAFETY: part of libpython, longer than this in every version that has it, and never written after its build.
        let words = unsafe { _PyRuntime };
        let (major, minor) = (words[1] >> 24, (words[1] >> 16) & 0xff);
        if words[0] != COOKIE || major != 3 || words[HEAD - 1] != 0 {
            return None;
        }
        let code_type = (&raw const ffi::PyCode_Type).addr() as u64;
        Some(Self { memory: File::open("/proc/self/mem").ok()?, words, layout: layout(minor)?, code_type })
    }

    /// The offset at a place of a section.
    fn offset(&self, section: usize, place: usize) -> u64 {
        // No object is longer than this; anything else is no offset.
        self.words[section + place].min(1 << 24)
    }

    fn word(&self, address: u64) -> Option<u64> {
        let mut word = [0; 8];
        self.memory.read_exact_at(&mut word, address).ok()?;
        Some(u64::from_ne_bytes(word))
    }

    fn half_word(&self, address: u64) -> Option<u32> {
        let mut word = [0; 4];
        self.memory.read_exact_at(&mut word, address).ok()?;
        Some(u32::from_ne_bytes(word))
    }

    fn block(&self, address: u64, length: u64) -> Option<Vec<u8>> {
        let mut block = vec![0; usize::try_from(length).ok()?];
        self.memory.read_exact_at(&mut block, address).ok()?;
        Some(block)
    }

    /// The call that a frame is of; none where it belongs to C code.
    fn call(&self, frame: u64) -> Option<Call> {
        let Layout { frame: section, code, object, .. } = self.layout;
        // 3.14 has a mark in the lowest bit.
        let executable = self.word(frame + self.offset(section, 2))? & !1;
        if self.word(executable + self.offset(object, 1))? != self.code_type {
            return None;
        }
        let field = |place: usize| self.word(executable + self.offset(code, place));
        let (file, name) = (self.text(field(1)?)?, self.text(field(3)?)?);
        let instructions = executable + self.offset(code, 9);
        let instruction = self.word(frame + self.offset(section, 3))?.checked_sub(instructions)?;
        let first = self.half_word(executable + self.offset(code, 5))?;
        let line = line_of(&self.bytes(field(4)?)?, first, instruction);
        Some(Call { file, line, name })
    }

    fn bytes(&self, object: u64) -> Option<Vec<u8>> {
        let length = self.word(object + self.offset(self.layout.bytes, 1))?;
        self.block(object + self.offset(self.layout.bytes, 2), length.min(LONGEST_TABLE))
    }

    /// A `str`, which all names of a code object are in their compact form.
    fn text(&self, object: u64) -> Option<String> {
        let section = self.layout.text;
        let state = self.half_word(object + self.offset(section, 1))?;
        let length = self.word(object + self.offset(section, 2))?.min(LONGEST_NAME);
        let (width, is_compact, is_ascii) = (u64::from(state >> 2 & 7), state >> 5 & 1 == 1, state >> 6 & 1 == 1);
        // Behind the head of one that is not ASCII: the length of its UTF-8 form, and where that is.
        let head = self.offset(section, 3) + if is_ascii { 0 } else { 16 };
        if !is_compact || ![1, 2, 4].contains(&width) {
            return None;
        }
        let units = self.block(object + head, length * width)?;
        let unit = |unit: &[u8]| unit.iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte));
        let character = |value| char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
        Some(units.chunks(usize::try_from(width).ok()?).map(|one| character(unit(one))).collect())
    }
}

/// The line of the instruction at an offset in bytes. The table's form is in CPython's `InternalDocs/code_objects.md`.
fn line_of(table: &[u8], first: u32, instruction: u64) -> Option<i64> {
    let (mut line, mut begin) = (i64::from(first), 0);
    let mut rest = table;
    while let Some((head, behind)) = rest.split_first() {
        // Only the first byte of an entry has the highest bit.
        let length = behind.iter().position(|byte| byte & 0x80 != 0).unwrap_or(behind.len());
        let (entry, next) = behind.split_at(length);
        let (kind, end) = (head >> 3 & 15, begin + 2 * (u64::from(head & 7) + 1));
        line += match kind {
            10..=12 => i64::from(kind - 10),
            13 | 14 => signed(entry),
            _ => 0,
        };
        if (begin..end).contains(&instruction) {
            return (kind != 15).then_some(line);
        }
        (begin, rest) = (end, next);
    }
    None
}

/// A number of variable length, its sign in the lowest bit.
fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0_i64;
    for (place, byte) in bytes.iter().enumerate().take(8) {
        value |= i64::from(byte & 0x3f) << (6 * place);
        if byte & 0x40 == 0 {
            break;
        }
    }
    if value & 1 == 1 { -(value >> 1) } else { value >> 1 }
}
