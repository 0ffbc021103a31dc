#!/usr/bin/python3
"""Adds up what the tests of one ctest run reported, and prints `N passed, N failed` as the last line.

Reads ctest's JUnit file, in which each entry is a whole program: a doctest program, a pytest run or
tests/tidy.py. Their closing lines say how many cases they held. An entry that failed without a failed
case (a crash, a time-out, a build that is missing) counts as one failure, as does a pass without a case.
Without a file it tests itself.
"""

import re
import sys
import xml.etree.ElementTree as ElementTree

DOCTEST = re.compile(r"^\[doctest\] test cases: *\d+ *\| *(\d+) passed *\| *(\d+) failed *\| *(\d+) skipped")
PYTEST = re.compile(r"^=*[ ]?(\d+ (?:passed|failed|error|skipped|xfailed|xpassed|deselected|warning)"
                    r".*) in [\d.]+s.*$")
SEEDS = re.compile(r"^\d+ seeds from \d+, (\d+) failures\b")
PLAIN = re.compile(r"^(\d+) passed, (\d+) failed$")


def pytest_counts(summary):
    number = {word: int(count) for count, word in re.findall(r"(\d+) (\w+?)s?\b", summary)}
    return (number.get("passed", 0) + number.get("xfailed", 0),
            number.get("failed", 0) + number.get("error", 0) + number.get("xpassed", 0),
            number.get("skipped", 0))


def counts_of(output):
    """(passed, failed, skipped) of one program's output, by its last closing line; None without one."""
    for line in reversed(output.splitlines()):
        line = line.strip()
        if match := DOCTEST.match(line):
            return tuple(int(group) for group in match.groups())
        if match := PYTEST.match(line):
            return pytest_counts(match.group(1))
        if match := PLAIN.match(line):
            return int(match.group(1)), int(match.group(2)), 0
        if match := SEEDS.match(line):  # one case, however many seeds it has
            failures = int(match.group(1))
            return int(failures == 0), failures, 0
    return None


def count(entries):
    """Sums (name, succeeded, output) over all entries; also the names of those that went wrong."""
    total, wrong = [0, 0, 0], []
    for name, succeeded, output in entries:
        passed, failed, skipped = counts_of(output) or (0, 0, 0)
        if failed == 0 and (not succeeded or passed == 0):
            failed = 1
        if failed:
            wrong.append(name)
        total = [old + new for old, new in zip(total, (passed, failed, skipped))]
    return tuple(total), wrong


def entries_of(path):
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        yield case.get("name"), case.get("status") == "run", case.findtext("system-out") or ""


# (did the program succeed, its output, what it counts as)
EXAMPLES = [
    (True, "10000 seeds from 1, 0 failures, 15.1 s\n", (1, 0, 0)),
    (False, "FAILED seed 7 (calm): why\n10000 seeds from 1, 1 failures, 15.1 s\n", (0, 1, 0)),
    (True, "[doctest] test cases:  3 |  3 passed | 0 failed | 1 skipped\n[doctest] assertions: 9", (3, 0, 1)),
    (False, "[doctest] test cases: 13 | 11 passed | 2 failed | 0 skipped\n", (11, 2, 0)),
    (True, "..\n2 passed in 0.12s\n", (2, 0, 0)),
    (True, "2 passed, 3 deselected, 1 warning in 61.20s (0:01:01)\n", (2, 0, 0)),
    (False, "== 1 failed, 4 passed, 1 skipped, 2 errors in 3.00s ==\n", (4, 3, 1)),
    (True, "6 passed, 0 failed\n", (6, 0, 0)),
    (False, "2 passed in 0.12s\n", (2, 1, 0)),  # it broke after its last test
    (False, "Segmentation fault\n", (0, 1, 0)),
    (True, "3 deselected in 0.02s\n", (0, 1, 0)),
    (True, "", (0, 1, 0)),
]


def test_itself():
    wrong = [(output, found, expected) for succeeded, output, expected in EXAMPLES
             if (found := count([("example", succeeded, output)])[0]) != expected]
    for output, found, expected in wrong:
        print(f"{output!r} counts as {found}, not {expected}")
    print(f"{len(EXAMPLES) - len(wrong)} passed, {len(wrong)} failed")
    sys.exit(1 if wrong else 0)


def main():
    if len(sys.argv) == 1:
        test_itself()
    try:
        (passed, failed, skipped), wrong = count(entries_of(sys.argv[1]))
    except (OSError, ElementTree.ParseError) as error:
        print(f"no test results: {error}")
        (passed, failed, skipped), wrong = (0, 0, 0), []
    for name in wrong:
        print(f"FAILED {name}")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
