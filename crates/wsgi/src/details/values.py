"""What a page may say of values: short, soon, and nothing that is named like a secret."""

import re
import sys
from itertools import islice
from time import monotonic, thread_time

HIDDEN = "********"
# Characters of one value, entries of one container, and how deep containers are followed.
LONGEST = 1000
ENTRIES = 30
DEEPEST = 3
# Seconds of the processor's time for one value and for all of a page, and of anybody's time for all: some values wait.
FOR_ONE = 0.25
FOR_ALL = 2.0
WAIT = 10.0
# Steps that every value may take: where other machines share the processor, its time passes while nothing runs.
STEPS = 1000

NAMES = (
    r"passw|passphrase|passcode|pwd|secret|token|cookie|authori[sz]ation|credential|private|api_?key|csrf|xsrf"
    r"|session_?(?:id|key)|signature|(?<![a-z])(?:key|keys|pass|auth)(?![a-z])"
)
SECRET = re.compile(NAMES, re.IGNORECASE)
# `password='...'` and `"token": "..."` in a text, whose end may have been cut off.
ASSIGNED = re.compile(
    rf"""(?<![\w-])((?:[\w-]*?)(?:{NAMES})[\w-]*['"]?\s*[=:]\s*)"""
    r"""([bu]?'(?:[^'\\]|\\.)*'?|[bu]?"(?:[^"\\]|\\.)*"?|[^\s,;&)}\]'"]+)""",
    re.IGNORECASE | re.DOTALL,
)
# https://user:password@host
IN_URL = re.compile(r"(://[^\s/:@'\"]*:)[^\s/@'\"]+@")


class TooSlow(BaseException):
    """A value's text takes too long."""


def is_secret(name):
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and len(name) < 200 and SECRET.search(name) is not None


def masked(text):
    """The text without the values in it that are named like secrets."""
    return IN_URL.sub(rf"\1{HIDDEN}@", ASSIGNED.sub(rf"\1{HIDDEN}", text))


def cut(text, longest=LONGEST):
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text):,} characters)"


def within(seconds, latest, function, *arguments, **options):
    """Calls it. Python code that it runs is ended after that time, unless it took few steps by then; a wait in C is not."""
    if sys.gettrace() is not None:
        return function(*arguments, **options)  # a debugger is at work
    end, steps = thread_time() + seconds, 0

    def trace(frame, event, argument):
        nonlocal steps
        # A loop within one line has no other events.
        frame.f_trace_opcodes = True
        steps += 1
        if thread_time() > end and (steps > STEPS or monotonic() > latest):
            raise TooSlow
        return trace

    sys.settrace(trace)
    try:
        return function(*arguments, **options)
    finally:
        sys.settrace(None)


class Values:
    """Shows values, as long as there is time for it."""

    def __init__(self):
        self.left, self.latest = FOR_ALL, monotonic() + WAIT

    def named(self, name, value):
        return HIDDEN if is_secret(name) else self.text(value)

    def text(self, value):
        if self.left <= 0 or monotonic() > self.latest:
            return "<not shown: there was no time left>"
        begun = thread_time()
        try:
            return within(FOR_ONE, self.latest, self.short, value, 0)
        except TooSlow:
            return f"<{type(value).__name__}: its repr() takes too long>"
        except RecursionError:
            return f"<{type(value).__name__}: its repr() does not end>"
        except BaseException as error:
            return f"<{type(value).__name__}: its repr() raised {type(error).__name__}>"
        finally:
            # What one has taken beyond its own leaves the others theirs.
            self.left -= min(thread_time() - begun, FOR_ONE)

    def short(self, value, depth):
        kind = type(value)
        if kind in (str, bytes, bytearray):
            # Twice as much, so that what is masked does not end within the cut.
            text = masked(repr(value[: 2 * LONGEST]))
            return text if len(value) <= LONGEST else f"{text[:LONGEST]}… ({len(value):,} long)"
        if kind is int and value.bit_length() > 4 * LONGEST:
            return f"<int of {value.bit_length():,} bits>"
        if kind in (list, tuple, set, frozenset) or isinstance(value, dict):
            return self.container(value, kind, depth)
        text = repr(value)
        # What is behind may be long, or the end of something that is masked.
        shown = masked(text[: 4 * LONGEST])
        return cut(shown) if len(text) <= 4 * LONGEST else f"{shown[:LONGEST]}… ({len(text):,} characters)"

    def container(self, value, kind, depth):
        if depth == DEEPEST:
            return f"<{kind.__name__} of {len(value):,}>"
        if isinstance(value, dict):
            parts = [self.entry(key, item, depth) for key, item in islice(dict.items(value), ENTRIES)]
            length = dict.__len__(value)
        elif kind is tuple and len(value) == 2 and is_secret(value[0]):
            parts, length = [self.short(value[0], depth + 1), HIDDEN], 2  # a header field
        else:
            parts = [self.short(item, depth + 1) for item in islice(value, ENTRIES)]
            length = len(value)
        if length > ENTRIES:
            parts.append(f"… {length - ENTRIES:,} more")
        inner = ", ".join(parts)
        if kind is list:
            return f"[{inner}]"
        if kind is tuple:
            return f"({inner},)" if length == 1 else f"({inner})"
        if kind is dict:
            return f"{{{inner}}}"
        if kind is set and length:
            return f"{{{inner}}}"
        return f"{kind.__name__}({{{inner}}})" if length else f"{kind.__name__}()"

    def entry(self, key, item, depth):
        shown = HIDDEN if is_secret(key) else self.short(item, depth + 1)
        return f"{self.short(key, depth + 1)}: {shown}"


