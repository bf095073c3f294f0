//! `wsgi.file_wrapper`: files that are sent from their descriptor.

use stack_bridge::FileRegion;
use stack_interp::{Object, Python, Raised};

const SOURCE: &str = include_str!("file_wrapper.py");
const FILE: &str = "<stack.file_wrapper>";

/// The class that an application finds in its environ, and the look behind it.
#[derive(Debug)]
pub(crate) struct FileWrapper<'py> {
    pub(crate) class: Object<'py>,
    region: Object<'py>,
}

impl<'py> FileWrapper<'py> {
    /// The class of this interpreter, made on first use and shared by its threads.
    pub(crate) fn new(py: Python<'py>) -> Result<Self, Raised<'py>> {
        let namespace = py.run_source(FILE, SOURCE)?;
        let entry = |name| Ok(namespace.item(py, name)?.expect("defined in file_wrapper.py"));
        Ok(Self { class: entry("FileWrapper")?, region: entry("region")? })
    }

    /// What is left of the file behind `result`, where that is a wrapper around a real one.
    pub(crate) fn region(&self, py: Python<'py>, result: &Object<'py>) -> Result<Option<FileRegion>, Raised<'py>> {
        if !result.is_exactly(&self.class) {
            return Ok(None);
        }
        let region = self.region.call(py, &[result])?;
        let items = region.sequence(py).unwrap_or_default();
        let [descriptor, offset, length] = items.as_slice() else { return Ok(None) };
        // The application closes its own descriptor when the request is over, which may be before the last byte is out.
        let Ok(file) = descriptor.duplicate_descriptor(py) else { return Ok(None) };
        let (offset, length) = (offset.integer(py)?.unsigned_abs(), length.integer(py)?.unsigned_abs());
        Ok(Some(FileRegion { file, offset, length }))
    }
}
