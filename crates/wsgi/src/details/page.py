"""The page of an exception: one HTML document without scripts, and without anything from elsewhere."""

import platform
from html import escape

# Characters of variables in one page, and frames in all.
MOST = 400_000
MOST_FRAMES = 200

# What of the environ is not said by the request.
OF_ENVIRON = (
    "SCRIPT_NAME PATH_INFO QUERY_STRING CONTENT_TYPE CONTENT_LENGTH REMOTE_ADDR REMOTE_PORT SERVER_NAME SERVER_PORT "
    "wsgi.url_scheme wsgi.multithread wsgi.multiprocess"
).split()


class Page:
    def __init__(self):
        self.parts = []
        self.values = Values()
        self.left = MOST
        self.frames_left = MOST_FRAMES
        self.exceptions = set()
        self.frames = set()

    def add(self, text):
        self.parts.append(text)

    def exception(self, error, relation="", depth=0):
        """An exception and its traceback, then what it contains, if it is a group."""
        self.add('<section class="exception">')
        if relation:
            self.add(f'<p class="relation">{escape(relation)}</p>')
        if relation or depth:
            self.add(f"<h2>{escape(kind_of(error))}</h2>")
            self.add(f'<pre class="message">{escape(message_of(error))}</pre>')
        self.traceback(error)
        if isinstance(error, BaseExceptionGroup):
            inner = error.exceptions
            for number, member in enumerate(inner[:EXCEPTIONS], 1):
                self.add(f'<details class="member" open><summary>Exception {number} of {len(inner)}</summary>')
                self.chain(member, depth + 1)
                self.add("</details>")
            if len(inner) > EXCEPTIONS:
                self.add(f"<p>… and {len(inner) - EXCEPTIONS} more.</p>")
        self.add("</section>")

    def chain(self, error, depth=0):
        for member, relation in chain(error):
            if id(member) in self.exceptions or depth > DEEPEST:
                text = f"{relation} {kind_of(member)}: {message_of(member)}".strip()
                self.add(f'<p class="note">{escape(text)} (shown elsewhere on this page)</p>')
                continue
            self.exceptions.add(id(member))
            self.exception(member, relation, depth)

    def traceback(self, error):
        found, left_out = frames(error)
        if not found:
            self.add('<p class="note">No Python code was running.</p>')
            return
        # Where there is only library code, its last call is what there is to look at.
        last = next((frame for frame in reversed(found) if not frame.is_library), found[-1])
        run = []
        for place, frame in enumerate(found):
            if left_out and place == FRAMES:
                self.library(run)
                run = []
                self.add(f'<p class="note">… {left_out:,} calls are left out …</p>')
            if frame.is_library and frame is not last:
                run.append(frame)
                continue
            self.library(run)
            run = []
            self.frame(frame, frame is last)
        self.library(run)

    def library(self, run):
        """Calls within libraries, which are rarely where the mistake is."""
        if not run:
            return
        where = package(run[0].file)
        last = package(run[-1].file)
        where = where if where == last else f"{where} … {last}"
        calls = "1 call" if len(run) == 1 else f"{len(run)} calls"
        self.add(f'<details class="library"><summary>{calls} in {escape(where)}</summary>')
        for frame in run:
            self.frame(frame, False)
        self.add("</details>")

    def frame(self, frame, is_open):
        self.frames_left -= 1
        if self.frames_left < 0:
            return
        kind = "library" if frame.is_library else "application"
        state = " open" if is_open or not frame.is_library else ""
        self.add(f'<details class="frame {kind}"{state}><summary>')
        self.add(f'<span class="function">{escape(frame.function)}</span> ')
        self.add(f'<span class="place">{escape(frame.file)}:{frame.line}</span></summary>')
        if frame.source:
            self.add('<pre class="source">')
            for number, text in frame.source:
                self.line(frame, number, text[:LONGEST_LINE])
            self.add("</pre>")
        else:
            self.add('<p class="note">The source is not there.</p>')
        self.variables(frame, is_open)
        self.add("</details>")

    def line(self, frame, number, text):
        marked = frame.marked(number, text)
        if marked:
            before, within, behind = map(escape, marked)
            text = f"{before}<mark>{within}</mark>{behind}"
        else:
            text = escape(text)
        current = ' class="current"' if number == frame.line else ""
        self.add(f'<span{current}><i>{number}</i><code>{text}</code>\n</span>')

    def variables(self, frame, is_open):
        if self.left <= 0:
            self.add('<p class="note">The variables are left out: the page is long enough.</p>')
            return
        if id(frame.frame) in self.frames:
            self.add('<p class="note">The variables stand above, where this call was first shown.</p>')
            return
        self.frames.add(id(frame.frame))
        shown = frame.locals(self.values)
        if not shown:
            return
        self.left -= sum(len(text) for _, text in shown)
        state = " open" if is_open else ""
        self.add(f'<details class="variables"{state}><summary>Variables</summary>')
        self.table(shown)
        self.add("</details>")

    def table(self, rows):
        self.add("<table>")
        for name, text in rows:
            self.add(f'<tr><th scope="row">{escape(name)}</th><td>{escape(text)}</td></tr>')
        self.add("</table>")

    def fold(self, title, rows, is_open=False):
        if rows:
            state = " open" if is_open else ""
            self.add(f'<details class="facts"{state}><summary>{escape(title)}</summary>')
            self.table(rows)
            self.add("</details>")


def package(file):
    """What the file is part of, for people."""
    for folder in ("site-packages", "dist-packages"):
        head, found, rest = file.rpartition(f"{os.sep}{folder}{os.sep}")
        if found:
            return rest.split(os.sep)[0].removesuffix(".py")
    if file.startswith(STANDARD_LIBRARY):
        return "Python's " + file[len(STANDARD_LIBRARY) :].split(os.sep)[0].removesuffix(".py")
    return file


def origin(error):
    """The file and line that most likely need a change: the last call in the application's own code."""
    found, _ = frames(error)
    own = [frame for frame in found if not frame.is_library] or found
    return own[-1] if own else None


def facts_of_environ(environ, values):
    if environ is None:
        return []
    return [(name, values.named(name, environ[name])) for name in OF_ENVIRON if environ.get(name) not in (None, "")]


def page(error, plain, facts, environ):
    """The document in UTF-8. `facts` are texts: status, what happened, its code, the request's id, the isolation, method,
    target, version, client, then names and values of the fields in turn."""
    status, happened, code, request_id, isolation, method, target, version, client, *fields = facts
    made = Page()
    kind, target = kind_of(error), masked(target)
    made.add('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">')
    made.add('<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">')
    made.add(f"<title>{escape(kind)} at {escape(cut(target, 80))}</title><style>{STYLE}</style></head><body>")
    made.add(f'<header><p class="status"><b>{escape(status)}</b> {escape(happened)}</p><h1>{escape(kind)}</h1>')
    made.add(f'<pre class="message">{escape(message_of(error))}</pre><dl>')
    made.add(f"<dt>Request</dt><dd><code>{escape(method)} {escape(cut(target, 2000))}</code></dd>")
    where = origin(error)
    if where is not None:
        made.add(f"<dt>Raised in</dt><dd><code>{escape(where.file)}:{where.line}</code>, {escape(where.function)}</dd>")
    made.add("</dl></header><main><h2>Traceback <small>most recent call last</small></h2>")
    made.chain(error)
    made.add("<h2>Request</h2>")
    asked = [("Request", f"{method} {target} {version}"), ("Client", client), ("Request id", request_id)]
    made.fold("Request", asked, True)
    pairs = list(zip(fields[::2], fields[1::2]))
    made.fold("Header fields", [(name, HIDDEN if is_secret(name) else masked(value)) for name, value in pairs], True)
    made.fold("WSGI environ", facts_of_environ(environ, made.values))
    made.add("<h2>Server</h2>")
    made.fold("Python", [
        ("Python", platform.python_version()),
        ("Isolation", isolation),
        ("Executable", sys.executable or ""),
        ("Code in the log", code),
    ], True)
    made.add(f'<details class="facts"><summary>Traceback as text</summary><pre class="plain">{escape(plain)}</pre></details>')
    made.add("</main><footer>Shown because of <code>error_details</code>. Other clients get the status and a short text.")
    made.add("</footer></body></html>\n")
    return "".join(made.parts).encode("utf-8", "backslashreplace")
