"""What a page says of an exception: its chain, its frames, their source and their variables."""

import linecache
import os
import traceback as tracebacks

# Of a recursion the first and the last calls are enough.
FRAMES = 30
# Lines of source before and after the one that matters.
AROUND = 5
# Variables of one frame, and exceptions of a chain or a group.
VARIABLES = 40
EXCEPTIONS = 10
LONGEST_LINE = 400

STANDARD_LIBRARY = os.path.dirname(os.__file__) + os.sep


def is_library(file):
    parts = file.split(os.sep)
    return (
        file.startswith(("<", STANDARD_LIBRARY))
        or "site-packages" in parts
        or "dist-packages" in parts
    )


class Frame:
    """One call of a traceback."""

    def __init__(self, traceback):
        frame, self.line = traceback.tb_frame, traceback.tb_lineno or 0
        code = frame.f_code
        self.file = code.co_filename
        self.function = getattr(code, "co_qualname", code.co_name)
        self.is_library = is_library(self.file)
        self.frame = frame
        self.columns = columns(code, traceback.tb_lasti, self.line)
        try:
            linecache.checkcache(self.file)
            lines = linecache.getlines(self.file, frame.f_globals)
        except Exception:
            lines = []
        first = max(0, self.line - 1 - AROUND)
        self.source = list(enumerate((line.rstrip() for line in lines[first : self.line + AROUND]), first + 1))

    def locals(self, values):
        """Names and texts of the variables; those of a module's own frame are all of its globals, and are left out."""
        frame = self.frame
        if frame.f_code.co_name == "<module>":
            return []
        try:
            variables = dict(frame.f_locals)
        except Exception:
            return []
        shown = [(name, values.named(name, value)) for name, value in islice(variables.items(), VARIABLES)]
        if len(variables) > VARIABLES:
            shown.append(("…", f"{len(variables) - VARIABLES} more"))
        return shown

    def marked(self, line, text):
        """The text of a line before, in and behind the part that was being run; None where that is not in the line."""
        if self.columns is None:
            return None
        first, last, start, end = self.columns
        if not first <= line <= last:
            return None
        start = characters(text, start) if line == first else len(text) - len(text.lstrip())
        end = characters(text, end) if line == last else len(text)
        return (text[:start], text[start:end], text[end:]) if start < end else None


def columns(code, instruction, line):
    """First and last line, and the columns in bytes, of what was being run. None where it is not known."""
    if instruction < 0:
        return None
    position = next(islice(code.co_positions(), instruction // 2, None), None)
    if position is None or None in position or position[0] != line:
        return None
    first, last, start, end = position
    return (first, last, start, end)


def characters(text, offset):
    return len(text.encode("utf-8", "surrogatepass")[:offset].decode("utf-8", "replace"))


def frames(error):
    """The calls between the server and the exception, in the order of a traceback, and how many were left out behind the first half."""
    found = []
    traceback = error.__traceback__
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith("<stack"):
            found.append(traceback)
        traceback = traceback.tb_next
    left_out = max(0, len(found) - 2 * FRAMES)
    if left_out:
        found = found[:FRAMES] + found[-FRAMES:]
    return [Frame(traceback) for traceback in found], left_out


def chain(error):
    """The exception and those before it, each with what it was to the one that came after it."""
    found, seen, relation = [], set(), ""
    while error is not None and id(error) not in seen and len(found) < EXCEPTIONS:
        seen.add(id(error))
        found.append((error, relation))
        if error.__cause__ is not None:
            error, relation = error.__cause__, "This was its direct cause:"
        elif not error.__suppress_context__:
            error, relation = error.__context__, "It was raised while this one was handled:"
        else:
            break
    return found


def kind_of(error):
    kind = type(error)
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def message_of(error):
    """What Python prints last of a traceback, without the class: message, notes, suggestions."""
    try:
        made_of = type(error), error, error.__traceback__
        report = within(FOR_ONE, monotonic() + WAIT, tracebacks.TracebackException, *made_of, limit=0)
        text = "".join(report.format_exception_only()).rstrip()
    except BaseException:
        return "<its text raised an exception>"
    kind = kind_of(error)
    return cut(text[len(kind) :].removeprefix(": ") if text.startswith(kind) else text, 8 * LONGEST)


