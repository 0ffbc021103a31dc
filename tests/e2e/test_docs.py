"""Everything that the documentation says to type is typed; what it links to and names is there.

A fenced block says behind its fence what it is, and is tried accordingly (lib/docs_world.py):

    sh        a script, in a scratch directory with a real PostgreSQL and the program; blocks of a page run in
              their order. Names and ports are put right by SUBSTITUTIONS, what cannot run here is in ELSEWHERE.
    ini toml  accepted by `headgate --check`; with a name behind (```ini headgate.ini) also written as that file
    hba ident userlist    the other files, in the same way
    sql       runs through Headgate; on the console where its first word is a command of that
    console   what was typed into psql and what it answered: runs, and answers what the page shows, if it does
    yaml json is YAML, or JSON
    text      nothing to type: drawings, logs

Code that is only indented, and a block of no kind, are faults.
"""

import contextlib
import glob
import itertools
import os
import re
import subprocess
import sys

import pytest

from lib import docs
from lib.docs_world import Scratch, World, faults_of_block
from lib.headgate import REPOSITORY

pytestmark = pytest.mark.headgate_only

PATHS = ["README.md", *sorted(f"docs/{name}" for name in os.listdir(f"{REPOSITORY}/docs") if name.endswith(".md"))]

ABOUT_THE_INSIDE = {"docs/architecture.md", "docs/proof.md"}  # these speak of names in the code as well

# Words in backticks that look like names of ours and are none: whose they are.
FOREIGN = {
    "libpq and drivers": "connect_timeout",
    "Patroni": "synchronous_mode",
    "roles of PostgreSQL": "pg_monitor",
    "libldap": "ldap_create",
    "the examples": "app_ro PGBOUNCER_N",
    "other images, numbered": "PGBOUNCER_DSN",
    "a name for every temporary schema": "pg_temp",
}  # fmt: skip

# Values that a page tells of because they are refused, or quotes in a message.
REFUSED = {"client_tls_dheparams = legacy", "pool_size=x",
           "query_timeout = 60 is more than transaction_timeout = 30, which always comes first"}  # fmt: skip


@pytest.fixture(scope="module")
def pages():
    return [docs.read(REPOSITORY, path) for path in PATHS]


@pytest.fixture(scope="module")
def world(many_files):
    with contextlib.ExitStack() as stack:
        yield World(stack)


def text_of(pattern):
    """All files of the tree that fit."""
    texts = []
    for path in sorted(glob.glob(f"{REPOSITORY}/{pattern}", recursive=True)):
        with open(path, encoding="utf-8") as file:
            texts.append(file.read())
    return "\n".join(texts)


@pytest.fixture(scope="module")
def names(world):
    """What a word in backticks may name."""
    metrics = docs.read(REPOSITORY, "docs/metrics.md")  # test_metrics.py: those are all
    rooms = "{}/**/*.{}"
    code = "\n".join(text_of(rooms.format(room, kind)) for room in ("base", "protocol", "auth", "pool", "conf", "admin", "proxy", "tests")
                     for kind in ("h", "cc", "py"))  # fmt: skip
    files = {os.path.splitext(os.path.basename(path))[0] for path in glob.glob(f"{REPOSITORY}/*/**/*.*", recursive=True)}
    strings = re.findall(r'"([^"\n]*)"', text_of("admin/*.cc") + text_of("conf/*.cc"))
    fields = re.findall(r'(?:field|add)\((?:\w+ \? )?"(\w+)"(?: : "(\w+)")?', text_of("proxy/**/*.cc"))  # of a line as JSON
    foreign = set(" ".join(FOREIGN.values()).split())
    said = {word for string in strings for word in re.findall(r"\w+", string)}
    return {
        "settings": world.settings,
        "metrics": {word for _, word in metrics.words if re.fullmatch(r"(headgate|process)_[a-z_]+", word)},
        "variables": set(re.findall(r"\b(?:HEADGATE|PGBOUNCER)_[A-Z0-9_]+", text_of("conf/*.cc") + text_of("tests/**/*.py"))) | foreign,
        "flags": world.help,
        "others": world.columns() | world.names_of_postgres() | files | said | foreign | set(itertools.chain(*fields)),
        "inside": set(re.findall(r"\w+", code)),
        "flags inside": code,
    }  # fmt: skip


def faults_of_blocks(world, page):
    with Scratch(world) as scratch:
        return page.faults + [fault for block in page.blocks if (fault := faults_of_block(scratch, page, block))]


# --- what stands in backticks


def fault_of_word(world, names, word, inside=False):
    """None, or why this is nothing that there is."""
    show = re.match(r"SHOW ([A-Z_]+)", word)
    if show:
        return None if show.group(1) in world.shows() else "SHOW does not know it"
    flag = re.match(r"(?:headgate )?(--[a-z-]+)", word)
    if flag:
        known = flag.group(1) in names["flags"] or (inside and flag.group(1) in names["flags inside"])
        return None if known else "no flag of headgate"
    dev = re.match(r"\./dev(?: (\w+))?", word)
    if dev:
        return None if dev.group(1) in {None, *world.dev_commands} else "no command of ./dev"
    if re.match(r"test_\w+\.py$", word):
        return None if os.path.exists(f"{REPOSITORY}/tests/e2e/{word}") else "no such test"
    if re.match(r"(tests|docs|conf|deploy|bench|admin|proxy|pool|auth|base|protocol)/[\w./*-]+$", word):
        known = any(glob.glob(f"{REPOSITORY}/{word}{end}") for end in ("", ".*", "_*"))
        return None if known else "there is no such file"
    variable = re.match(r"((?:HEADGATE|PGBOUNCER)_([A-Z_0-9]+))(?:=.*)?$", word)
    if variable:
        setting = variable.group(2).lower()
        meant = {setting, re.sub(r"_(file|1)$", "", setting)}
        known = meant & names["settings"] or re.sub("_(FILE|1)$", "", variable.group(1)) in names["variables"]
        return None if known else "no setting, and no other variable"
    if re.match(r"headgate_[a-z_]+$", word):
        return None if re.sub(r"_(bucket|sum|count)$", "", word) in names["metrics"] else "no metric"
    name = re.match(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(\s*=.*)?$", word)
    if not name:
        return None
    if name.group(1) in names["settings"]:
        return world.fault_of_setting(name.group(1), word) if name.group(2) and word not in REFUSED else None
    known = names["metrics"] | names["others"] | (names["inside"] if inside else set())
    return None if name.group(1) in known else "no setting, no column and no name of PostgreSQL's"


def faults_of_words(world, names, page):
    return [f"{page.path}:{line}: `{word}`: {fault}" for line, word in page.words
            if (fault := fault_of_word(world, names, word, page.path in ABOUT_THE_INSIDE))]  # fmt: skip


# --- the tests


@pytest.mark.parametrize("path", PATHS)
def test_what_a_page_says_to_type_works(world, path):
    faults = faults_of_blocks(world, docs.read(REPOSITORY, path))
    assert not faults, "\n".join(faults)


def test_links_lead_somewhere(pages):
    faults = list(docs.broken_links(REPOSITORY, pages))
    assert not faults, "\n".join(faults)


def test_names_in_backticks_exist(world, names, pages):
    faults = [fault for page in pages for fault in faults_of_words(world, names, page)]
    assert not faults, "\n".join(faults)


def test_every_error_of_headgate_is_in_troubleshooting():
    page = text_of("docs/troubleshooting.md")
    rows = re.findall(r'\{ErrorCode::\w+, "(\w+)", "\w+", \w+,\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\}', text_of("base/error.cc"))
    assert len(rows) > 70
    texts = {"".join(re.findall(r'"((?:[^"\\]|\\.)*)"', text)).replace('\\"', '"'): code for code, text in rows}
    missing = [f"{code} {text}" for text, code in texts.items()
               if not re.search(rf"`{re.escape(text)}[^`]*`[^|\n]*\|[^|\n]*\b{code}\b", page)]  # fmt: skip
    assert not missing, "\n".join(missing)


def test_the_chart_of_the_speed_is_drawn_from_the_results():
    drawn = subprocess.run([sys.executable, "-B", "-c", "import chart; print(chart.draw(open(chart.RESULTS, encoding='utf-8').read()), end='')"],
                           cwd=f"{REPOSITORY}/bench", capture_output=True, text=True, check=True)  # fmt: skip
    assert drawn.stdout == text_of("docs/images/speed.svg"), "bench/chart.py writes it anew"


def test_pictures_are_small():
    sizes = {path: os.path.getsize(path) for path in glob.glob(f"{REPOSITORY}/docs/images/*.png")}
    assert 1 <= len(sizes) <= 4 and max(sizes.values()) < 200_000, sizes


# --- that a wrong page is found

FENCE = "```"
WRONG = {
    "a block that says nothing": (f"{FENCE}\nls\n{FENCE}", "of the kind ``"),
    "a block of an unknown kind": (f"{FENCE}python\nprint()\n{FENCE}", "of the kind `python`"),
    "indented code": ("So:\n\n    headgate --chek x.ini\n", "only indented"),
    "a command that fails": (f"{FENCE}sh\nheadgate --chek headgate.ini\n{FENCE}", "ended with"),
    "a command that is not there": (f"{FENCE}sh\nheadgat headgate.ini\n{FENCE}", "not found"),
    "a wrong password": (f"{FENCE}sh\nPGPASSWORD=no psql -h 127.0.0.1 -p 6432 -U app app\n{FENCE}", "authentication failed"),
    "a page that is not served": (f"{FENCE}sh\ncurl -sSf http://127.0.0.1:9127/metric\n{FENCE}", "404"),
    "an unknown setting": (f"{FENCE}ini\npool_mdoe = session\n{FENCE}", "did you mean pool_mode"),
    "a connection string that is none": (f"{FENCE}ini\n[databases]\n* = host=db pool_mode=sesion\n{FENCE}", "is of no use"),
    "an unknown value": (f'{FENCE}toml\n[headgate]\npool_mode = "sesion"\n{FENCE}', "expected one of"),
    "a rule that is none": (f"{FENCE}hba\nhost all all 10.0.0.0/8 scrum\n{FENCE}", "scrum"),
    "SQL that is none": (f"{FENCE}sql\nSELEC 1;\n{FENCE}", "syntax error"),
    "a SHOW that is none": (f"{FENCE}sql\nSHOW POLLS;\n{FENCE}", "POLLS"),
    "a transcript with other columns": (f"{FENCE}console\npgbouncer=> SHOW VERSION;\n vershun\n---------\n{FENCE}", "it answers [['version']"),
    "a transcript with another answer": (f"{FENCE}console\napp=> SELECT 1 AS one;\n one\n-----\n 2\n{FENCE}", "it answers [['one'], ['1']]"),
    "YAML that is none": (f"{FENCE}yaml\na: [1\n{FENCE}", "expected"),
    "JSON that is none": (f"{FENCE}json\n{{'a': 1}}\n{FENCE}", "Expecting"),
    "a probe of nothing": (f"{FENCE}yaml\nhttpGet: {{path: /health, port: 9127}}\n{FENCE}", "/health is nothing"),
    "a command as text": (f"{FENCE}text\nheadgate --help\n{FENCE}", "is a command"),
    "a command of ./dev": (f"{FENCE}sh\n./dev rum\n{FENCE}", "nobody knows rum"),
    "a variable of a container": (f"{FENCE}sh\ndocker run -e HEADGATE_{'POOL_MOD'}=session headgate\n{FENCE}", "did you mean HEADGATE_POOL_MODE"),
    "a manifest": (f"{FENCE}sh\nkubectl apply -f conf/none.yaml\n{FENCE}", "is not there"),
}  # fmt: skip
WRONG_WORDS = ["SHOW POLLS", "pool_mdoe", "pool_mode = sesion", "./dev rum", "--chek", "HEADGATE_" + "POOL_SIDE", "headgate_pool_waits", "test_none.py",
               "conf/none.ini"]  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_page_is_found(world, name):
    text, complaint = WRONG[name]
    (fault,) = faults_of_blocks(world, docs.parse("wrong.md", text))
    assert complaint in fault


def test_wrong_words_are_found(world, names):
    page = docs.parse("wrong.md", "\n".join(f"`{word}`" for word in WRONG_WORDS))
    assert len(faults_of_words(world, names, page)) == len(WRONG_WORDS)


def test_wrong_links_are_found():
    page = docs.parse("docs/wrong.md", "# Is here\n[a](none.md) [b](#is-there) ![c](none.png) [d](../README.md) [e](#is-here)")
    assert len(list(docs.broken_links(REPOSITORY, [page]))) == 3
