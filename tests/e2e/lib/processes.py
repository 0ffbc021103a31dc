"""Start and end programs of our own, wait for things to become true, read /proc.

Everything started here is ended by its process id, and dies with us even when we are
killed: a test run leaves nothing behind.
"""

import contextlib
import ctypes
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)
NANOSECONDS = 1_000_000_000


def service_user():
    """PostgreSQL refuses to run as root: root hands it (and the pooler) to user postgres."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


@contextlib.contextmanager
def as_service_user():
    """What is connected within comes from the user that the programs run as."""
    user, before = service_user(), os.geteuid()
    if user:
        os.seteuid(user.pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)


def make_directory(name, parent=None):
    """A temporary directory that belongs to the user that the programs run as."""
    path = tempfile.mkdtemp(prefix=f"headgate-{name}-", dir=parent)
    os.chmod(path, 0o755)
    own(path)
    return path


def own(path):
    user = service_user()
    if user:
        os.chown(path, user.pw_uid, user.pw_gid)


def write_file(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    own(path)


def remove_directory(path):
    shutil.rmtree(path, ignore_errors=True)


def spawn(command, log_path, environment=None, signal_when_we_die=signal.SIGKILL):
    """Start a program as the service user; its output goes to the file `log_path`."""
    user = service_user()

    def die_with_parent():
        LIBC.prctl(PR_SET_PDEATHSIG, signal_when_we_die)

    with open(log_path, "ab") as log:
        own(log_path)
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=os.path.dirname(log_path),
            env={**os.environ, **(environment or {})},
            preexec_fn=die_with_parent,
            start_new_session=True,
            **({"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}),
        )


def run_tool(command, **options):
    """Run a short program (initdb, pg_basebackup) as the service user; raise with its output."""
    user = service_user()
    if user:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, **options)
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def stop(process, signal_number=signal.SIGTERM, seconds=20):
    """End one process that we started; returns its exit status, negative for a signal's."""
    if process.poll() is None:
        process.send_signal(signal_number)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    return process.returncode


def clean_up_on_sigterm():
    """Let SIGTERM unwind the stack as Ctrl-C does, so that what was started is ended and removed."""

    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)


def raise_file_limit(wanted=65536):
    """10,000 clients in one process need as many descriptors; children inherit the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in (wanted, hard):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), max(hard, limit)))
            return max(soft, limit)
        except (ValueError, OSError):
            continue
    return soft


_ports_given = set()


def free_port(preferred=0):
    """A TCP port on which nothing listens now, never the same one twice."""
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", preferred))
            except OSError:
                preferred = 0
                continue
            port = probe.getsockname()[1]
        if port not in _ports_given:
            _ports_given.add(port)
            return port


def wait_until(condition, seconds=10.0, what="the condition", every=0.02):
    """Poll until `condition()` is true, and return its value; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(every)


def listens_on(path):
    """Whether somebody accepts connections on this unix socket; without making one."""
    accepts = "00010000"  # __SO_ACCEPTCON, among the flags
    with open("/proc/net/unix", encoding="utf-8") as sockets:
        fields = (line.split() for line in sockets)
        return any(line[3] == accepts and line[-1] == path for line in fields)


def rss_bytes(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_nanoseconds(pid):
    """User and system time of all living threads; finer than the ticks of /proc/PID/stat."""
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except FileNotFoundError:
            continue
    return total


def _stat_fields(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()


def family_cpu_nanoseconds(pid):
    """CPU time of a process, its living children, and those children that have ended."""
    tick = NANOSECONDS // os.sysconf("SC_CLK_TCK")
    fields = _stat_fields(pid)
    total = cpu_nanoseconds(pid) + (int(fields[13]) + int(fields[14])) * tick
    for child in children(pid):
        try:
            total += cpu_nanoseconds(child)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(child) for child in file.read().split()]
