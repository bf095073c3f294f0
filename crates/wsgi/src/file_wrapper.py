"""wsgi.file_wrapper (PEP 3333 "Optional Platform-Specific File Handling")."""

import io
import os
import stat


class FileWrapper:
    """An iterable over a file-like object. A real file is sent from its descriptor, without being read here."""

    def __init__(self, filelike, block_size=65536):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    def __next__(self):
        data = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration


def region(wrapper):
    """(descriptor, offset, length) of what is left of a regular file, or None.

    Only Python's own binary files qualify, also inside the wrappers of tempfile and Django: others have a fileno() that
    says nothing about what their read() would give (gzip's is the compressed file).
    """
    filelike = wrapper.filelike
    for _ in range(4):
        if type(filelike) in (io.BufferedReader, io.BufferedRandom, io.FileIO):
            break
        filelike = getattr(filelike, "file", None)
    else:
        return None
    if type(filelike) is not io.FileIO and type(filelike.raw) is not io.FileIO:
        return None
    # A wrapper with a read() of its own (one that decrypts, or limits) gives other bytes than its file.
    read = getattr(wrapper.filelike, "read", None)
    if getattr(read, "__wrapped__", read) != filelike.read:
        return None
    if type(filelike) is io.BufferedRandom:
        filelike.flush()
    status = os.fstat(filelike.fileno())
    if not stat.S_ISREG(status.st_mode):
        return None
    offset = filelike.tell()
    return (filelike.fileno(), offset, max(0, status.st_size - offset))
