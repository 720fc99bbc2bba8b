"""checks: rules about the tree itself, reported like the cases of a program.

A check returns the list of what is wrong; an empty list passes.
"""
import glob
import os
import re
import subprocess

from .program import Case

BEHAVIOURS = "docs/behaviours.md"

# Documents made from the code: (document, command that prints what it should hold). The command
# runs in the top folder after the build; one that is not built yet is not checked.
GENERATED = [
    ("docs/drops.md", ["build/dataplane/sluice-drops"]),
    ("docs/metrics.md", ["build/ctrl/sluice-metrics"]),
]


def check_format():
    done = subprocess.run(["scripts/format", "--check"], capture_output=True, text=True)
    if done.returncode == 0:
        return []
    files = sorted({line.split(":")[0] for line in done.stderr.splitlines() if ": error:" in line})
    return [f"{f}: not in the project's format; run clang-format -i {f}" for f in files] or [
        done.stderr.strip() or f"scripts/format exited with {done.returncode}"]


def check_listed():
    """A test that no meson.build names would never run."""
    from . import build
    built = {name for _, name, _ in build.programs("build")}
    wrong = []
    for suite in build.SUITES:
        for path in glob.glob(f"tests/{suite}/**/*.c", recursive=True):
            with open(path, errors="replace") as f:
                text = f.read()
            if not re.search(r"^(SL_TEST_MAIN\(|LLVMFuzzerTestOneInput)", text, re.M):
                continue
            if path == "tests/fuzz/replay.c":  # part of every fuzz target
                continue
            name = path.removeprefix("tests/").removesuffix(".c").replace("/", "-")
            name = name.replace("unit-dataplane-", "unit-dp-")
            if name not in built:
                wrong.append(f"{path} is a test, but no meson.build makes {name} of it")
    return wrong


def check_generated():
    wrong = []
    for document, command in GENERATED:
        if not os.path.exists(document) or not os.path.exists(command[0]):
            continue
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        with open(document) as f:
            stale = done.returncode != 0 or f.read() != done.stdout
        if stale:
            wrong.append(f"{document} is stale: {' '.join(command)} > {document}")
    return wrong


def check_keys():
    """A configuration key that docs/configuration.md does not describe."""
    with open("docs/configuration.md") as f:
        known = set(re.findall(r"`([a-z][a-z0-9_]*)`", f.read()))
    keys = {}
    for path in glob.glob("ctrl/config/read_*.c"):
        with open(path) as f:
            keys.update((key, path) for key in re.findall(r'\{ "([a-z0-9_]+)",\s*SL_FIELD_', f.read()))
    if len(keys) < 50:
        return [f"only {len(keys)} keys found in ctrl/config/read_*.c"]
    return [f"{path}: docs/configuration.md says nothing of '{key}'"
            for key, path in sorted(keys.items()) if key not in known]


def behaviours():
    """{number: (behaviour, state, tests)} of docs/behaviours.md."""
    rows = {}
    with open(BEHAVIOURS) as f:
        for line in f:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) == 4 and re.fullmatch(r"[A-E]\d+", cells[0]):
                rows[cells[0]] = tuple(cells[1:])
    return rows


def check_numbers(cases):
    known = behaviours()
    return [f"{case.program}: \"{case.sentence}\" speaks for {number}, which {BEHAVIOURS} does not list"
            for case in cases for number in case.numbers() if number not in known]


def check_held(cases):
    """Every row that claims to be held has a case that passed; run after a full run."""
    passed = {(number, case.program) for case in cases if case.result == "ok"
              for number in case.numbers()}
    wrong = []
    for number, (_, state, tests) in behaviours().items():
        if state not in ("held", "open"):
            wrong.append(f"{BEHAVIOURS}: {number} is '{state}'; want held or open")
        if state != "held":
            continue
        if not any(number == n for n, _ in passed):
            wrong.append(f"{number} is held in {BEHAVIOURS}, but no case that passed speaks for it")
        for program in re.findall(r"[a-z][a-z0-9_-]*", tests):
            if (number, program) not in passed:
                wrong.append(f"{number} names {program} in {BEHAVIOURS}, which passed no case of it")
    return wrong


TREE_CHECKS = [
    ("every C file is in the project's format", check_format),
    ("every test in the tree is built", check_listed),
    ("every generated document is fresh", check_generated),
    ("every configuration key is described", check_keys),
]
RESULT_CHECKS = [
    ("every behaviour that a test speaks for is listed", check_numbers, False),
    ("every behaviour listed as held has a test that passed", check_held, True),
]


def run(sentence, function, *args):
    try:
        wrong = function(*args)
    except Exception as error:  # a check that cannot be made has failed
        wrong = [f"{type(error).__name__}: {error}"]
    return Case("check", sentence, "not ok" if wrong else "ok", wrong)
