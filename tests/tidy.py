#!/usr/bin/python3
"""Checks what no compiler does: which room may use which, what may be read from the outside world and
where, and that nothing unfinished or machine-specific is left in the tree.

Every run first shows each check a wrong and a right example (EXAMPLES, at the end), so a check that has
stopped biting is a failure too. Long files and functions are listed, but fail nothing.
"""

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
CPP = (".h", ".cc")
LEFT_OUT = {".git", "build", "__pycache__", ".pytest_cache", ".cache"}
FILE_LIMIT, FUNCTION_LIMIT = 500, 60

# --- files --------------------------------------------------------------------------------------------

COMMENT_OR_STRING = re.compile(
    r'R"(?P<raw>[^(\s]*)\(.*?\)(?P=raw)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'"  # the apostrophe of 1'000 opens nothing
    r"|//[^\n]*|/\*.*?\*/", re.DOTALL)


def without_comments_and_strings(text):
    """The same number of lines, with neither comments nor what strings hold; #include lines stay."""
    def blank(match):
        line_start = text.rfind("\n", 0, match.start()) + 1
        if re.match(r"\s*#\s*include", text[line_start:match.start()]) and match.group().startswith('"'):
            return match.group()
        return '""' + "\n" * match.group().count("\n")
    return COMMENT_OR_STRING.sub(blank, text)


@dataclass
class File:
    path: str  # from the top of the tree
    text: str

    def __post_init__(self):
        self.is_cpp = self.path.endswith(CPP)
        self.code = without_comments_and_strings(self.text) if self.is_cpp else ""


def files_of_tree():
    for path in sorted(TOP.rglob("*")):
        name = path.relative_to(TOP)
        if path.is_file() and not path.is_symlink() and not LEFT_OUT & set(name.parts):
            try:
                yield File(str(name), path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                pass  # not text: nothing here to read


def numbered(text):
    return enumerate(text.split("\n"), start=1)


# --- rooms --------------------------------------------------------------------------------------------

ROOM_ROW = re.compile(r"^headgate_room\((\S+)\s+USES\b(.*?)\bLINKS\b", re.MULTILINE)
MAIN = "proxy/main"  # the program's own file, which may use every room


def arrows_of(cmake):
    """room -> every room it may include, itself among them, from CMakeLists.txt's table."""
    direct = {room: uses.split() for room, uses in ROOM_ROW.findall(cmake)}

    def reach(room):
        return {room}.union(*(reach(other) for other in direct[room]))
    return {room: reach(room) for room in direct}


def room_of(path, arrows):
    """The room that a path lies in; None for files outside of all rooms."""
    if path.startswith(MAIN + "."):
        return MAIN
    folder = path.rpartition("/")[0]
    while folder and folder not in arrows:
        folder = folder.rpartition("/")[0]
    return folder or None


def rooms_within_reach(path, arrows):
    """The rooms whose headers this file may include; None if it may include any."""
    if path.startswith("tests/unit/"):
        path = path.removeprefix("tests/unit/")
    elif path.startswith("tests/sim/"):
        return arrows["proxy"]
    room = room_of(path, arrows)
    return arrows.get(room)


INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')


def includes_of(file):
    for number, line in numbered(file.code):
        if match := INCLUDE.match(line):
            yield number, match.group(1) == '"', match.group(2)


def check_arrows(files, arrows):
    """include follows the arrows"""
    paths = {file.path for file in files}
    for file in files:
        reachable = rooms_within_reach(file.path, arrows)
        for number, ours, target in includes_of(file):
            if not ours:
                continue
            if target not in paths:
                yield file.path, number, f'"{target}" is not a file named from the top of the tree'
            elif reachable is not None and (room := room_of(target, arrows)) not in reachable | {None}:
                yield file.path, number, f'"{target}": {room} is not within reach of this folder'


# --- the outside world --------------------------------------------------------------------------------

PURE = ("base/", "protocol/", "auth/", "pool/", "conf/")
ROOMS = PURE + ("admin/", "proxy/")
LOOPS = ("proxy/uv/", "proxy/uring/")
DOORS = LOOPS + ("proxy/http/",)  # threads of its own, and what they wait for
PROCESS = ("proxy/main.", "proxy/process")  # start, environment, descriptors: once for each process


@dataclass
class Ban:
    """What must not be read in some folders, but for a few places."""
    what: str
    pattern: str  # of a line of code, or of a header's name
    within: tuple
    but_in: tuple

    def covers(self, path):
        return path.startswith(self.within) and not path.startswith(self.but_in)


BANNED_WORDS = [
    Ban("reads a clock", r"\b(steady|system|high_resolution)_clock::now\b|\bclock_gettime\b"
        r"|\bgettimeofday\b|\btime\((nullptr|NULL|0)\)", ROOMS + ("tests/unit/", "tests/sim/"),
        DOORS + PROCESS + ("tests/unit/proxy/uv/", "tests/sim/main.")),
    Ban("is random", r"\bs?rand\(|\brandom_device\b|\bgetrandom\b|\bgetentropy\b|\bRAND_(priv_)?bytes\b",
        ROOMS + ("tests/unit/", "tests/sim/"), LOOPS + PROCESS),
    Ban("reads the environment", r"\b(secure_)?getenv\b|\benviron\b", ROOMS, PROCESS),
    Ban("uses libuv", r"\buv_\w+", ROOMS + ("tests/sim/",), ("proxy/uv/", "proxy/main.")),
    Ban("sleeps", r"\bsleep_(for|until)\b|\b(u|nano)?sleep\(", ROOMS + ("tests/unit/",), ()),
    Ban("reads or writes files", r"\bfopen\b|\bstd::(cout|cin|[io]?fstream)\b", PURE, ("conf/load",)),
]
BANNED_HEADERS = [
    Ban("libuv", r"uv\.h", ROOMS + ("tests/sim/",), ("proxy/uv/", "proxy/main.")),
    Ban("OpenSSL", r"openssl/.*", ROOMS, ("auth/", "proxy/tls/", "proxy/uv/")),
    Ban("the log's library", r"spdlog/.*", ROOMS, ("proxy/",)),
    Ban("TOML", r"toml\+\+/.*", ROOMS, ("conf/",)),
    # arpa/inet.h is free: inet_pton and inet_ntop are arithmetic.
    Ban("sockets", r"sys/(socket|un|uio|epoll|select)\.h|netinet/.*|netdb\.h|poll\.h", ROOMS,
        DOORS + PROCESS + ("proxy/log_outlet",)),  # the system's log is a socket
    Ban("files", r"fstream|iostream|unistd\.h|fcntl\.h|sys/stat\.h|filesystem", PURE, ("conf/load",)),
    Ban("threads", r"thread|mutex|shared_mutex|condition_variable|pthread\.h", PURE,
        ("pool/slots", "auth/key_cache")),  # one for the whole process each, shared by the workers
]


def check_words(files, arrows):
    """the outside world is asked only where that belongs"""
    for file in files:
        bans = [ban for ban in BANNED_WORDS if file.is_cpp and ban.covers(file.path)]
        for number, line in numbered(file.code) if bans else ():
            for ban in bans:
                if match := re.search(ban.pattern, line):
                    yield file.path, number, f"{match.group()} {ban.what}, which is not for this folder"


def check_headers(files, arrows):
    """libraries and the system are included only where that belongs"""
    for file in files:
        bans = [ban for ban in BANNED_HEADERS if ban.covers(file.path)]
        for number, ours, target in includes_of(file) if bans else ():
            for ban in bans:
                if not ours and re.fullmatch(ban.pattern, target):
                    yield file.path, number, f"<{target}>: {ban.what} are not for this folder"


# --- text ---------------------------------------------------------------------------------------------

WRITTEN_BY_US = CPP + (".py", ".cmake", ".json", ".md", "dev", ".ci/run", "Dockerfile", "CMakeLists.txt",
                       "packages.txt", ".clang-format", ".clang-tidy")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|farm)/")


def check_blanks(files, arrows):
    """no tabs, no blanks at the end of a line, a newline at the end of a file"""
    for file in files:
        if not file.path.endswith(WRITTEN_BY_US) or not file.text:
            continue
        for number, line in numbered(file.text):
            if "\t" in line:
                yield file.path, number, "a tab"
            if line != line.rstrip():
                yield file.path, number, "blanks at the end of the line"
        if not file.text.endswith("\n") or file.text.endswith("\n\n"):
            yield file.path, file.text.count("\n") + 1, "a file ends with one newline"


def check_finished(files, arrows):
    """nothing is left for later, nothing names the machine it was written on"""
    for file in files:
        if not file.path.endswith(WRITTEN_BY_US):
            continue
        for number, line in numbered(file.text):
            if match := UNFINISHED.search(line):
                yield file.path, number, f"{match.group()}: finish it, or file an issue"
            if MACHINE_PATH.search(line):
                yield file.path, number, "a path of somebody's machine"


CHECKS = [check_arrows, check_words, check_headers, check_blanks, check_finished]

# --- sizes --------------------------------------------------------------------------------------------

NOT_A_FUNCTION = re.compile(r"\b(namespace|class|struct|enum|union|extern|requires|concept)\b[^()]*$|=\s*$")


def cpp_functions(code):
    """(name, first line, lines) of each function that stands in no other one; a heuristic on braces."""
    head, line, open_braces, function = "", 1, 0, None
    for char in re.sub(r"(?m)^\s*#.*$", "", code):
        line += char == "\n"
        if char == "{":
            name = re.search(r"([\w:~]+)\s*\(", head)
            if function is None and name and not NOT_A_FUNCTION.search(head):
                first = line - head.lstrip().count("\n")
                function = (name.group(1), first, open_braces)
            open_braces += 1
        elif char == "}":
            open_braces -= 1
            if function and open_braces == function[2]:
                yield function[0], function[1], line - function[1] + 1
                function = None
        head = "" if char in ";{}" else head + char


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def long_ones(files):
    for file in files:
        if not file.path.endswith(CPP + (".py",)):
            continue
        lines = file.text.count("\n")
        if lines > FILE_LIMIT:
            yield f"{file.path}: {lines} lines"
        functions = cpp_functions(file.code) if file.is_cpp else python_functions(file.text)
        for name, first, length in functions:
            if length > FUNCTION_LIMIT:
                yield f"{file.path}:{first}: {name} has {length} lines"


# --- the checks' own test -----------------------------------------------------------------------------

TABLE = """
headgate_room(base      USES           LINKS fmt::fmt)
headgate_room(protocol  USES base      LINKS)
headgate_room(auth      USES protocol  LINKS OpenSSL::Crypto)
headgate_room(pool      USES base      LINKS)
headgate_room(conf      USES auth pool LINKS)
headgate_room(admin     USES conf      LINKS)
headgate_room(proxy     USES admin     LINKS)
headgate_room(proxy/uv  USES proxy     LINKS libuv)
"""

# check, path, a text it must refuse, a text it must accept
EXAMPLES = [
    (check_arrows, "base/a.h", '#include "pool/x.h"\n', '#include "base/x.h"\n'),
    (check_arrows, "protocol/a.h", '#include "auth/x.h"\n', '#include "base/x.h"\n'),
    (check_arrows, "auth/a.h", '#include "pool/x.h"\n', '#include "protocol/x.h"\n'),
    (check_arrows, "pool/a.h", '#include "protocol/x.h"\n', '#include "base/x.h"\n'),
    (check_arrows, "conf/a.cc", '#include "admin/x.h"\n', '#include "auth/x.h"\n#include "pool/x.h"\n'),
    (check_arrows, "admin/a.cc", '#include "proxy/x.h"\n', '#include "protocol/x.h"\n'),
    (check_arrows, "proxy/a.cc", '#include "proxy/uv/x.h"\n', '#include "admin/x.h"\n'),
    (check_arrows, "proxy/a.cc", '#include "x.h"\n', '// #include "x.h"\n'),
    (check_arrows, "tests/sim/a.cc", '#include "proxy/uv/x.h"\n', '#include "proxy/x.h"\n'),
    (check_arrows, "tests/unit/pool/a_test.cc", '#include "auth/x.h"\n', '#include "pool/x.h"\n'),
    (check_arrows, "proxy/uv/a.cc", '#include "uv/x.h"\n', '#include "proxy/uv/x.h"\n'),
    (check_words, "pool/a.cc", "auto now = std::chrono::steady_clock::now();\n", "auto n = later(now);\n"),
    (check_words, "proxy/a.cc", "clock_gettime(CLOCK_MONOTONIC, &t);\n", "// clock_gettime\n"),
    (check_words, "admin/a.cc", "time_t now = time(nullptr);\n", "auto t = uptime(nullptr);\n"),
    (check_words, "auth/a.cc", "RAND_bytes(out, 18);\n", "auto operand(int a);\n"),
    (check_words, "base/a.cc", "int a = 1'000; std::random_device d;\n", 'say("std::random_device");\n'),
    (check_words, "conf/load_env.cc", 'auto home = getenv("HOME");\n', "int uv = 1;\n"),
    (check_words, "proxy/a.cc", "uv_close(handle, nullptr);\n", "close(uv_, nullptr_uv_);\n"),
    (check_words, "tests/unit/pool/a_test.cc", "std::this_thread::sleep_for(1s);\n", "asleep(1);\n"),
    (check_words, "conf/ini.cc", "std::ifstream in(path);\n", "std::istringstream in(text);\n"),
    (check_headers, "proxy/a.h", "#include <uv.h>\n", "#include <vector>\n"),
    (check_headers, "pool/a.h", "#include <openssl/evp.h>\n", "#include <span>\n"),
    (check_headers, "admin/a.cc", "#include <spdlog/spdlog.h>\n", "#include <fmt/core.h>\n"),
    (check_headers, "admin/b.cc", "#include <toml++/toml.h>\n", "#include <map>\n"),
    (check_headers, "proxy/b.cc", "#include <sys/socket.h>\n", "#include <arpa/inet.h>\n"),
    (check_headers, "protocol/a.cc", "#include <unistd.h>\n", "#include <cstring>\n"),
    (check_headers, "pool/b.h", "#include <mutex>\n", "#include <memory>\n"),
    (check_blanks, "base/a.cc", "\tint a;\n", "  int a;\n"),
    (check_blanks, "base/a.cc", "int a; \n", "int a;\n"),
    (check_blanks, "base/a.cc", "int a;", "int a;\n"),
    (check_finished, "docs/a.md", "TO" "DO: later\n", "to do so\n"),
    (check_finished, "tests/e2e/a.py", 'open("/wo' 'rk/a")\n', 'open("net/work/a")\n'),
]
LONG = "int f(int a)\n{\n" + "  g();\n" * FUNCTION_LIMIT + "}\n"


def check_examples():
    """the checks still bite"""
    arrows = arrows_of(TABLE)
    there = [File(f"{folder}/x.h", "") for folder in arrows]
    for check, path, wrong, right in EXAMPLES:
        if not list(check(there + [File(path, wrong)], arrows)):
            yield path, 1, f"{check.__name__} accepts {wrong!r}"
        if found := list(check(there + [File(path, right)], arrows)):
            yield path, 1, f"{check.__name__} refuses {right!r}: {found}"
    for text, expected in [(LONG, 1), (LONG.replace("  g();\n", "", 5), 0),
                           (f"namespace n {{\nstruct S {{\n  S() : a(1) {{}}\n}};\n{LONG}}}\n", 1),
                           ("int g() { return 1; }\n" * 100, 0)]:
        if len(list(long_ones([File("base/a.cc", text)]))) != expected:
            yield "base/a.cc", 1, f"{expected} long functions expected in {text[:40]!r}..."


def main():
    files = list(files_of_tree())
    arrows = arrows_of((TOP / "CMakeLists.txt").read_text(encoding="utf-8"))
    results = [list(check_examples())] + [list(check(files, arrows)) for check in CHECKS]
    for path, number, message in sum(results, []):
        print(f"{path}:{number}: {message}")
    failed = sum(map(bool, results))
    if listed := list(long_ones(files)):
        print(f"longer than {FILE_LIMIT} lines (files) or {FUNCTION_LIMIT} (functions), for your eyes only:")
        print("\n".join(f"  {entry}" for entry in listed))
    print(f"{len(results) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
