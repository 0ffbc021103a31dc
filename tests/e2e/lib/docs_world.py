"""Where the commands of the documentation run: a PostgreSQL, a Headgate in front of it, and for each page a
scratch directory with the files and programs that the page speaks of.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import uuid

import psycopg
import yaml

from lib import docs, processes
from lib.certificates import Authority
from lib.headgate import REPOSITORY, Headgate, ini_text
from lib.postgres import BIN_DIRECTORIES, Postgres, User

SECONDS = 60  # for one block
APP = User("app", "secret", "scram-sha-256")
USERLIST = {"app": "secret", "admin": "secret", "monitor": "secret"}

# What a reader has under these names stands elsewhere in the scratch place. {...} is a member of Scratch.
SUBSTITUTIONS = [
    (r"/etc/systemd/system/", "{repository}/conf/"),
    (r"/(etc|run|var/log)/headgate\b", r"{directory}/\1/headgate"),
    (r"\bbuild/release/headgate\b", "headgate"),
    (r"\bpooler\.example\.com\b", "localhost"),
    (r"\b5432\b", "{postgres_port}"),
    (r"\b6432\b", "{port}"),
    (r"\b9127\b", "{http_port}"),
]

# Programs that cannot run here, or whose run is another test's: what is looked at instead.
ELSEWHERE = {
    "./dev": "the command is one of ./dev's; what it does is tested by using it (test_playground.py and the tests themselves)",
    "docker": "Headgate itself accepts the variables and arguments; a file that is named is there and is YAML",
    "kubectl": "a file that is named is there and is YAML",
    "systemctl": "the unit is there",
    "systemd-analyze": "the unit is there",
    "systemd-socket-activate": "the files are there",
    "git": "nothing but `git clone URL`",
    "install": "it is the program that ./dev build has made",
    "sudo": "what it runs is in this list",
    "apt-get": "nothing but `apt-get install`",
}  # fmt: skip

PROGRAMS = {*ELSEWHERE, "headgate", "psql", "pgbench", "pgbouncer", "curl", "kill", "PGPASSWORD=secret"}


def parsed_yaml(path):
    with open(path, encoding="utf-8") as file:
        found = [part for part in yaml.safe_load_all(file) if part]
    assert found, f"{path} is empty"


class World:
    """What all pages share."""

    def __init__(self, stack):
        self.postgres = stack.enter_context(Postgres.primary([APP], max_connections=100))
        self.authority = stack.enter_context(Authority())
        self.certificate = self.authority.issue("localhost", "DNS:localhost", "IP:127.0.0.1")
        self.http_port = processes.free_port()
        self.headgate = stack.enter_context(Headgate(
            {"*": {"host": "127.0.0.1", "port": self.postgres.port}},
            userlist={**USERLIST, "postgres": ""}, pool_mode="transaction", http_port=self.http_port,
        ))  # fmt: skip
        self.program = self.headgate.process.args[0]
        self.help = subprocess.run([self.program, "--help"], capture_output=True, text=True, check=True).stdout
        reference = subprocess.run([self.program, "--print-settings"], capture_output=True, text=True, check=True).stdout
        self.settings = set(re.findall(r"^\| `(\w+)` \|", reference, re.MULTILINE))
        with open(f"{REPOSITORY}/dev", encoding="utf-8") as file:
            self.dev_commands = set(re.findall(r"^\./dev (\w+)", file.read(), re.MULTILINE))
        self.console_help = self._console_help()

    def _console_help(self):
        said = []
        with self.headgate.console() as console:
            console.add_notice_handler(lambda diagnostic: said.append(diagnostic.message_detail or diagnostic.message_primary))
            console.execute("SHOW HELP")
        return "\n".join(said)

    def shows(self):
        """The words that SHOW knows."""
        return {word for line in re.findall(r"SHOW ([A-Z_|]+)", self.console_help) for word in line.split("|")}

    def console_commands(self):
        """The first words of its commands."""
        return {line.split()[0] for line in self.console_help.splitlines() if line.strip() and line.strip()[0].isupper()}

    def columns(self):
        """Every column of every SHOW."""
        found = set()
        with self.headgate.console() as console:
            for word in self.shows() - {"HELP", "FDS"}:
                found |= {column.name for column in console.execute(f"SHOW {word}").description or ()}
        return found

    def fault_of_setting(self, name, line):
        """What --check has against this value, in [pgbouncer] or for a database or user; what else a file that has
        it must have is not asked."""
        for text in (f"[databases]\n*=\n[pgbouncer]\n{line}\n", f"[databases]\n*={line}\n[pgbouncer]\n",
                     f"[databases]\n*=\n[users]\nu={line}\n[pgbouncer]\n"):  # fmt: skip
            processes.write_file(self.headgate.path("one.ini"), text)
            said = subprocess.run([self.program, "--check", self.headgate.path("one.ini")], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False).stdout  # fmt: skip
            if not re.search("invalid value|unknown|of no use", said):
                return None
        return said

    def names_of_postgres(self):
        """Its settings, functions, and the tables and columns of its catalog."""
        rows = self.postgres.rows(
            "SELECT name FROM pg_settings UNION SELECT proname FROM pg_proc UNION SELECT relname FROM pg_class"
            " UNION SELECT attname FROM pg_attribute", database="app")  # fmt: skip
        return {row["name"] for row in rows}


class Scratch:
    """The place of one page: blocks run in their order, and find what those before them have left."""

    def __init__(self, world):
        self.world, self.repository = world, REPOSITORY
        self.directory = processes.make_directory("docs")
        self.port, self.postgres_port = processes.free_port(), world.postgres.port
        self.http_port = processes.free_port()
        self.mark = str(uuid.uuid4())
        for name in ("bin", "etc/headgate", "run/headgate/1", "run/headgate/2", "var/log/headgate"):
            os.makedirs(f"{self.directory}/{name}")
        os.symlink(world.program, f"{self.directory}/bin/headgate")
        for name, text in self._first_files().items():
            for place in (self.directory, f"{self.directory}/etc/headgate"):
                processes.write_file(f"{place}/{name}", text)
                os.chmod(f"{place}/{name}", 0o600)
        for folder, _, _ in os.walk(self.directory):
            processes.own(folder)

    def _first_files(self):
        """What every page finds, until it writes a file of that name itself."""
        ini = ini_text({"*": {"host": "127.0.0.1", "port": self.postgres_port}}, {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": self.directory,
            "auth_type": "scram-sha-256", "auth_file": "userlist.txt", "admin_users": "admin", "http_port": self.http_port,
            "pool_mode": "transaction", "client_tls_sslmode": "allow", "client_tls_cert_file": "server.crt",
            "client_tls_key_file": "server.key",
        })  # fmt: skip
        return {
            "headgate.ini": ini, "pgbouncer.ini": ini, "hba.conf": "", "ident.conf": "operators root admin\n",
            "userlist.txt": "".join(f'"{name}" "{secret}"\n' for name, secret in USERLIST.items()),
            "server.crt": self.world.certificate.text(), "server.key": self.world.certificate.key_text(),
            "ca.crt": self.world.authority.root.text(),
        }  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._end_what_was_started()
        processes.remove_directory(self.directory)

    def _end_what_was_started(self):
        """What a page has started carries its mark, also where it became a daemon."""
        for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
            try:
                with open(f"/proc/{pid}/environ", "rb") as file:
                    if f"DOCS_MARK={self.mark}".encode() in file.read():
                        os.kill(pid, signal.SIGKILL)
            except (OSError, ProcessLookupError):
                continue

    def here(self, text):
        for pattern, replacement in SUBSTITUTIONS:
            text = re.sub(pattern, replacement.format(**vars(self)), text)
        return text

    def path(self, name):
        return os.path.join(self.directory, self.here(name))

    def run(self, command, **options):
        user = processes.service_user()
        if user:
            options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
        # Outputs go to a file: a program that stays in the background would hold a pipe open.
        with open(f"{self.directory}/said", "w+", encoding="utf-8") as said:
            done = subprocess.run(
                command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
                check=False, timeout=SECONDS, **{"env": self.environment(), **options})  # fmt: skip
            said.seek(0)
            text = said.read()
        assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{text}"
        return text

    def environment(self):
        return {
            "PATH": os.pathsep.join([f"{self.directory}/bin", BIN_DIRECTORIES[0], "/usr/bin", "/bin"]),
            "HOME": self.directory, "LC_ALL": "C.UTF-8", "PGCONNECT_TIMEOUT": "20", "PAGER": "cat",
            "PGPASSWORD": USERLIST["app"],
            "DOCS_MARK": self.mark,
        }  # fmt: skip

    # --- one block of each kind

    def run_sh(self, block):
        """A Headgate that is to run in the foreground, in another window, runs in the background; where a block
        connects to one and no block has started any, it is started before."""
        script = []
        connects = re.search(r"\b(6432|9127)\b", block.text) and not re.search(r"^(\S*/)?headgate\b", block.text, re.MULTILINE)
        if connects and not self._listens():
            script += ["headgate -q headgate.ini &", "until_it_listens"]
        for line in docs.command_lines(block.text):
            words = shlex.split(line, comments=True)
            if words and words[0] in ELSEWHERE:
                self.look_at(words)
                continue
            script.append(self.here(line))
            if re.match(r"headgate( -\w)* \S+\.(ini|toml)\s*(#.*)?$", script[-1]) and " -d" not in script[-1]:
                script[-1] = re.sub(r"\s*(#.*)?$", " &", script[-1], count=1)
            if re.match(r"headgate\b.*(&|-d .*)\s*(#.*)?$", script[-1]):
                script.append("until_it_listens")
        wait = (f"until_it_listens() {{ for n in $(seq 200); do (: </dev/tcp/127.0.0.1/{self.port}) 2>/dev/null && return;"
                " sleep 0.05; done; return 1; }")  # fmt: skip
        self.run(["bash", "-euo", "pipefail", "-c", "\n".join([wait, *script])])

    def _listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def run_ini(self, block):
        """A fragment gets the sections that it has not; a file that the reader writes is written too."""
        text = self.here(block.text)
        if not re.search(r"^\[", text, re.MULTILINE):
            text = "[pgbouncer]\n" + text
        if not re.search(r"^\[(pgbouncer|headgate)\]", text, re.MULTILINE):
            text += "[pgbouncer]\n"
        if block.file:
            processes.write_file(self.path(block.file), self._on_own_port(text))
        self.check(text, "fragment.ini")

    def run_toml(self, block):
        text = self.here(block.text)
        if block.file:
            processes.write_file(self.path(block.file), self._on_own_port(text, '"'))
        self.check(text, "fragment.toml")

    def _on_own_port(self, text, quote=""):
        """What a file leaves to the default would be the same for everybody on this machine."""
        lines = [f"{name} = {value}" for name, value in
                 (("listen_port", self.port), ("unix_socket_dir", f"{quote}{self.directory}{quote}"))
                 if not re.search(rf"^{name}\b", text, re.MULTILINE)]  # fmt: skip
        return re.sub(r"^\[(pgbouncer|headgate)\].*$", lambda found: "\n".join([found.group(0), *lines]), text,
                      count=1, flags=re.MULTILINE)  # fmt: skip

    def check(self, text, name):
        processes.write_file(f"{self.directory}/{name}", text)
        said = self.run([self.world.program, "--check", name])
        assert "is of no use" not in said, said  # a warning, as PgBouncer only warns
        return said

    def run_hba(self, block):
        self._check_rules("auth_hba_file", block)

    def run_ident(self, block):
        self._check_rules("auth_ident_file", block)

    def _check_rules(self, setting, block):
        path = self.path(block.file or f"{setting}.txt")
        processes.write_file(path, self.here(block.text))
        files = {"auth_hba_file": "hba.conf", "auth_ident_file": "ident.conf", setting: path}
        said = self.check(ini_text({"*": ""}, {"auth_type": "hba", "auth_file": "userlist.txt", **files}), "rules.ini")
        assert path not in said, said

    def run_userlist(self, block):
        processes.write_file(self.path(block.file or "userlist.txt"), block.text)
        for line in block.text.splitlines():
            assert re.fullmatch(r'\s*(;.*)?|"([^"]|"")+"\s+"([^"]|"")*".*', line), line

    def run_sql(self, block):
        """Through Headgate as a superuser; what is for the console runs there."""
        first = block.text.split(None, 2)
        if first[0] in self.world.console_commands() and (first[0] != "SHOW" or first[1].rstrip(";").isupper()):
            for line in filter(None, (line.split(" -- ")[0].strip() for line in block.text.splitlines())):
                self.world.headgate.admin(line.rstrip(";"))
            return
        processes.write_file(f"{self.directory}/block.sql", self.here(block.text))
        self.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.world.headgate.port),
                  "-U", "postgres", "-f", "block.sql", "app"])  # fmt: skip

    def run_console(self, block):
        typed = docs.prompts(block.text)
        assert typed, "a transcript in which nothing is typed"
        with contextlib.ExitStack() as stack:
            sessions = {database: stack.enter_context(self.world.headgate.connect(
                database, "admin" if database == "pgbouncer" else "postgres")) for database, _, _ in typed}  # fmt: skip
            for database, command, shown in typed:
                cursor = sessions[database].execute(command.rstrip(";"))
                if shown is None:
                    continue
                rows = [[str(value) for value in row] for row in cursor.fetchall()]
                answer = [[column.name for column in cursor.description], *rows]
                assert answer == shown, f"{command}: it answers {answer}"

    def run_yaml(self, block):
        if block.file:
            processes.write_file(self.path(block.file), block.text)
        assert list(yaml.safe_load_all(block.text))
        for path in re.findall(r"\bpath: *[\"']?(/\w+)", block.text):
            assert path in ("/healthz", "/readyz", "/metrics"), f"{path} is nothing that Headgate answers"

    def run_json(self, block):
        for part in re.split(r"\n(?=\{)", block.text.strip()):
            json.loads(part)

    def run_text(self, block):
        """Drawings, logs and answers: nothing that is typed."""
        for line in block.text.splitlines():
            word = (line.split() or [""])[0]
            assert word.lstrip("$") not in PROGRAMS and word != "$", f"`{line.strip()}` is a command: make it a block `sh`"
            assert not re.match(r"\s*(SHOW|SELECT|SET|\[pgbouncer\]|\[databases\])\b", line), f"{line}: `sql` or `ini`?"

    # --- what cannot run here

    def look_at(self, words):
        words = [self.here(word) for word in words]
        if words[0] == "sudo":
            assert len(words) > 1 and words[1] in ELSEWHERE, f"nothing is known of {words}"
            return self.look_at(words[1:])
        if words[0] == "docker" and words[1] == "run":
            return self.as_container(words[2:])
        allowed = {"git": {"clone"}, "apt-get": {"install", "update"}, "./dev": self.world.dev_commands,
                   "docker": {"build", "compose"}, "install": {"headgate"}}  # fmt: skip
        second = next((word for word in words[1:] if not word.startswith("-")), "")
        assert words[0] not in allowed or second in allowed[words[0]], f"{' '.join(words)}: nobody knows {second}"
        if words[0] == "docker" and second == "build":
            assert os.path.exists(f"{REPOSITORY}/Dockerfile")
        for word in words[1:]:
            self.look_at_file(word)

    def look_at_file(self, word):
        if not re.search(r"\.(ya?ml|service|socket|ini|toml)$", word):
            return
        path = word if os.path.isabs(word) else next(
            (place for place in (f"{REPOSITORY}/{word}", f"{self.directory}/{word}") if os.path.exists(place)), word)  # fmt: skip
        assert os.path.exists(path), f"{word} is not there"
        if re.search(r"\.ya?ml$", word):
            parsed_yaml(path)

    def as_container(self, words):
        """docker run: the variables and arguments that the image's program gets are tried with --check."""
        environment, arguments = {}, []
        rest = iter(words)
        for word in rest:
            if word == "-e":
                name, _, value = next(rest).partition("=")
                environment[name] = value
            elif word == "-v":
                outside, inside, *_ = next(rest).split(":")
                assert os.path.exists(os.path.join(self.directory, outside)), f"{outside} is not there"
                environment.setdefault("mounted:" + inside, os.path.join(self.directory, outside))
            elif word in ("-p", "--name", "--network", "--user"):
                next(rest)
            elif not word.startswith("-"):
                assert word == "headgate", f"the image {word}"
                arguments = list(rest)
        mounted = {name[8:]: environment.pop(name) for name in [*environment] if name.startswith("mounted:")}
        self.run([self.world.program, "--check", *(mounted.get(word, word) for word in arguments)],
                 env={**self.environment(), **environment})  # fmt: skip


def faults_of_block(scratch, page, block):
    """None, or what is wrong with it."""
    run = getattr(scratch, f"run_{block.kind}", None) if re.fullmatch(r"[a-z]+", block.kind) else None
    if not run:
        return f"{page.path}:{block.line}: a block of the kind `{block.kind}`: nobody knows how to try it"
    try:
        run(block)
    except (AssertionError, psycopg.Error, yaml.YAMLError, ValueError, subprocess.TimeoutExpired, OSError) as fault:
        return f"{page.path}:{block.line}: {fault}"
    return None
