"""What the soak scripts share: a release server, its numbers from /proc, other servers, wrk, and tables."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
APPS = os.path.join(ROOT, "tests", "apps", "wsgi")
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


def run(*command, **options):
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options).stdout


def executable():
    """Builds the release binary and says where it is. STACK_EXECUTABLE names another one."""
    if "STACK_EXECUTABLE" in os.environ:
        return os.environ["STACK_EXECUTABLE"]
    subprocess.run(["cargo", "build", "--release", "--quiet"], check=True, cwd=ROOT)
    return os.path.join(target(), "release", "stack")


def target():
    return json.loads(run("cargo", "metadata", "--no-deps", "--format-version", "1"))["target_directory"]


def install(program, package):
    """Where a program is. One that is missing is installed."""
    # Servers are in a folder that not everybody's PATH has.
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    if not shutil.which(program, path=path):
        apt = [*([] if os.geteuid() == 0 else ["sudo"]), "apt-get", "--yes", "-qq"]
        command = [*apt, "install", package]
        if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
            # A fresh machine knows of no packages.
            subprocess.run([*apt, "update"], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return shutil.which(program, path=path)


def raise_file_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def clean():
    """The environment, without what would configure a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STACK_") and name != "PORT"}


class Process:
    """A server that was started here, with the processes that descend from it."""

    def __init__(self, command, environment=None, directory=APPS):
        self.log = tempfile.TemporaryFile("w+")
        self.child = subprocess.Popen(
            command, cwd=directory, stdout=self.log, stderr=self.log, env={**clean(), **(environment or {})}
        )

    def output(self):
        self.log.seek(0)
        return self.log.read()

    def pids(self):
        found = [self.child.pid]
        for pid in found:
            try:
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/children") as children:
                        found.extend(map(int, children.read().split()))
            except FileNotFoundError:
                pass
        return found

    def sum_of_status(self, field):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/status") as status:
                total += sum(int(line.split()[1]) * 1024 for line in status if line.startswith(field))
        return total

    def memory(self):
        return self.sum_of_status("VmRSS:")

    def proportional_memory(self):
        """What the processes take together: a page that several have in common counts once, shared out among them."""
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup") as smaps:
                total += sum(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Pss:"))
        return total

    def peak_memory(self):
        return self.sum_of_status("VmHWM:")

    def reset_peak_memory(self):
        for pid in self.pids():
            with open(f"/proc/{pid}/clear_refs", "w") as peak:
                peak.write("5")

    def threads(self):
        return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.pids())

    def cpu_seconds(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
        return total / TICKS

    def stop(self):
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.log.close()


class Server(Process):
    """`stack serve` on a free port. Its processes are those of the server, without the supervisor above."""

    def __init__(self, app, *arguments, environment=None, directory=APPS):
        self.runtime = tempfile.TemporaryDirectory()
        self.control = os.path.join(self.runtime.name, "control.sock")
        super().__init__(
            [
                executable(),
                "serve",
                "--bind",
                "127.0.0.1:0",
                "--chdir",
                directory,
                "--app",
                app,
                "--access-log",
                "off",
                "--control-socket",
                self.control,
                *arguments,
            ],
            environment,
            directory,
        )
        wait_for(lambda: re.search(r"http://127\.0\.0\.1:(\d+)", self.output()), "the address", self)
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)", self.output())[1])
        get(self.port, "/")

    def pids(self):
        return super().pids()[1:]

    def supervisor_memory(self):
        """What the supervisor takes, shared pages in proportion."""
        with open(f"/proc/{self.child.pid}/smaps_rollup") as smaps:
            return sum(int(line.split()[1]) * 1024 for line in smaps if line.startswith("Pss:"))

    def ask(self, *command):
        """`stack status`, `reload` or `stop`: whether it went well, and what it answers."""
        line = [executable(), *command, "--json", "--control-socket", self.control]
        done = subprocess.run(line, stdout=subprocess.PIPE, text=True, env=clean())
        return done.returncode == 0, json.loads(done.stdout)


class Peer(Process):
    """Another server, on this port."""

    def __init__(self, port, command, environment=None, directory=APPS):
        super().__init__(command, environment, directory)
        self.port = port
        wait_for(self.answers, f"{command[0]} answers", self)

    def answers(self):
        try:
            return get(self.port, "/")[0] < 500
        except OSError:
            return False


def wait_for(look, what, process=None, limit=60):
    """Waits until `look` finds something."""
    deadline = time.monotonic() + limit
    while not (found := look()):
        ended = process is not None and process.child.poll() is not None
        if ended or time.monotonic() > deadline:
            raise SystemExit(f"never seen: {what}\n{process.output() if process else ''}")
        time.sleep(0.02)
    return found


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_response(connection):
    """Reads a response with a Content-Length or in chunks; its status and body."""
    reader = connection.makefile("rb")
    status = int(reader.readline().split()[1])
    headers = {}
    while line := reader.readline().strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    if "content-length" in headers:
        return status, reader.read(int(headers["content-length"]))
    body = b""
    while size := int(reader.readline(), 16):
        body += reader.read(size)
        reader.readline()
    reader.readline()
    return status, body


def get(port, target):
    with connect(port) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        return read_response(connection)


def certificate(folder):
    """ECDSA, as most sites have today."""
    install("openssl", "openssl")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{folder}/key.pem"]
    run = ["openssl", "req", "-x509", *key, "-out", f"{folder}/cert.pem", "-days", "2", *subject]
    subprocess.run(run, check=True, stderr=subprocess.DEVNULL)


def wrk(port, seconds, connections, target="/", script=None):
    """Loads a server with wrk: requests, requests a second, and what went wrong."""
    program = install("wrk", "wrk")
    lua = ["--script", script] if script else []
    report = run(
        program,
        "--threads",
        "1",
        "--connections",
        str(connections),
        "--duration",
        f"{seconds}s",
        *lua,
        f"http://127.0.0.1:{port}{target}",
    )
    requests = int(re.search(r"(\d+) requests in", report)[1])
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", report)[1])
    errors = re.search(r"Socket errors:.*", report) or re.search(r"Non-2xx.*", report)
    return requests, rate, errors[0].strip() if errors else ""


def linked_python():
    """The Python that the build links with."""
    return run(os.path.join(ROOT, ".cargo", "python"), "-c", "import sys; print(sys.executable)").strip()


def virtual_environment(*packages):
    """A virtual environment with these packages under the target directory, made once."""
    name = f"venv-{zlib.crc32(' '.join([linked_python(), *packages]).encode()):08x}"
    folder = os.path.join(target(), "soak", name)
    if not os.path.exists(os.path.join(folder, "complete")):
        run(linked_python(), "-m", "venv", "--clear", folder)
        if packages:
            run(os.path.join(folder, "bin", "pip"), "install", "--quiet", "--disable-pip-version-check", *packages)
        open(os.path.join(folder, "complete"), "w").close()
    return folder


def table(header, *rows):
    cells = [[str(cell) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    for row in cells:
        print(
            "  ".join(
                cell.ljust(width) if index == 0 else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(row, widths))
            )
        )
    sys.stdout.flush()


class Bounds:
    """Collects what was out of bounds; `end` leaves with it."""

    def __init__(self):
        self.broken = []

    def check(self, holds, words):
        print(f"{'ok  ' if holds else 'FAIL'} {words}", flush=True)
        if not holds:
            self.broken.append(words)

    def end(self):
        sys.exit(1 if self.broken else 0)
