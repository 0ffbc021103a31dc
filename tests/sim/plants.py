#!/usr/bin/python3
"""Shows that the simulator bites: plants one bug after the other and counts the seeds until each is found.

Each tests/sim/plants/*.patch is a bug, its first line says which. They are applied to a copy of the tree.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
PLANTS = Path(__file__).resolve().parent / "plants"
COPY = TOP / "build" / "plants"
MOST_SEEDS = 100000
ROOMS = ["admin", "auth", "base", "bench", "cmake", "conf", "pool", "protocol", "proxy", "tests"]


def title_of(plant):
    return plant.read_text(encoding="utf-8").splitlines()[0]


def patch(plant, tree, *flags):
    command = ["patch", "-p1", "--silent", "--force", *flags, "-d", str(tree), "-i", str(plant)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def check(plants):
    """Whether every bug can still be planted: they have to follow the code."""
    failed = 0
    for plant in plants:
        done = patch(plant, TOP, "--dry-run", "--fuzz=0")
        if done.returncode != 0:
            print(f"{plant.name} does not apply: {done.stdout}{done.stderr}")
            failed += 1
    print(f"{len(plants) - failed} passed, {failed} failed")
    return failed == 0


def copy_tree():
    tree = COPY / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir(parents=True)
    for name in ROOMS:
        shutil.copytree(TOP / name, tree / name, copy_function=shutil.copy,
                        ignore=shutil.ignore_patterns("corpus", "__pycache__"))
    for name in ["CMakeLists.txt", "CMakePresets.json"]:
        shutil.copy(TOP / name, tree / name)
    return tree


def build(tree):
    """The simulator of the tree as it is now; between two bugs only what they change is compiled."""
    directory = COPY / "build"
    if not (directory / "build.ninja").exists():
        # A bug may leave something unused.
        subprocess.run(["cmake", "-S", tree, "-B", directory, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                        "-DHEADGATE_LTO=OFF", "-DCMAKE_CXX_FLAGS=-Wno-error=unused-parameter "
                        "-Wno-error=unused-function -Wno-error=unused-variable"], check=True, capture_output=True)
    done = subprocess.run(["ninja", "-C", str(directory), "sim"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stdout[-2000:])
    return directory / "tests" / "sim"


def run(sim, most):
    """(seeds needed, what was found); nothing where it was not found."""
    done = subprocess.run([sim, "--first", "--count", str(most)], capture_output=True, text=True, check=False,
                          env={**os.environ, "MALLOC_PERTURB_": "165"}, errors="replace")
    if done.returncode == 0:
        return None
    found = re.search(r"^FAILED seed (\d+)\b[^:]*: (.*)$", done.stdout, re.M)
    if found:
        return int(found.group(1)), found.group(2)[:90]
    return 0, (done.stdout + done.stderr)[-90:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="only these bugs")
    parser.add_argument("--check", action="store_true", help="only check that every bug can be planted")
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS, help="give up after so many")
    options = parser.parse_args()
    plants = [plant for plant in sorted(PLANTS.glob("*.patch"))
              if not options.names or plant.stem in options.names]
    if options.check:
        return 0 if check(plants) else 1
    tree, unfound = copy_tree(), 0
    print("| planted bug | seeds until it is found | as |\n|---|---|---|", flush=True)
    for plant in plants:
        if patch(plant, tree).returncode != 0:
            raise RuntimeError(f"{plant.name} does not apply")
        result = run(build(tree), options.seeds)
        patch(plant, tree, "--reverse")
        unfound += result is None
        seeds, how = result or (f"not in {options.seeds}", "")
        print(f"| {title_of(plant)} | {seeds} | {how} |", flush=True)
    print(f"{len(plants) - unfound} of {len(plants)} planted bugs found")
    return 0 if unfound == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
