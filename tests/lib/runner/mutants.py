"""mutants: plant known faults one at a time and see that some test notices.

A file tests/mutants/NAME.mutant holds lines "key: value":
  what:   the fault, in words
  file:   where
  line:   the exact line (without its indentation), which must occur once
  with:   what stands there instead; may be empty
  tests:  the programs or suites that may catch it, fewest and fastest first
The work is done in a copy of the tree under build/, built once; each fault is built and reverted.
"""
import filecmp
import glob
import os
import shutil
import subprocess

from . import build, process
from .program import Case, Program

COPY = "build/mutants"
KEYS = {"what", "file", "line", "with", "tests"}


def read(path):
    with open(path) as f:
        pairs = [line.rstrip("\n").partition(":") for line in f if ":" in line and line[0] != "#"]
    mutant = {key.strip(): value.strip() for key, _, value in pairs}
    mutant["name"] = os.path.basename(path).removesuffix(".mutant")
    if not KEYS <= set(mutant):
        raise ValueError(f"{path}: want the keys {', '.join(sorted(KEYS))}")
    return mutant


def copy_tree():
    """The files that git knows or would add. What is the same stays untouched, and so built."""
    names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"],
                           capture_output=True, text=True, check=True).stdout.splitlines()
    keep = set(names)
    for name in names:
        if not os.path.isfile(name):
            continue
        to = os.path.join(COPY, name)
        os.makedirs(os.path.dirname(to), exist_ok=True)
        if not os.path.exists(to) or not filecmp.cmp(name, to, shallow=False):
            shutil.copyfile(name, to)  # with a new time: an object may be younger than the source
            shutil.copymode(name, to)
    for folder, subfolders, files in os.walk(COPY):
        if folder == COPY and "build" in subfolders:
            subfolders.remove("build")
        for file in files:
            path = os.path.join(folder, file)
            if os.path.relpath(path, COPY) not in keep:
                os.unlink(path)


def plant(mutant):
    """Put the fault into the copy; returns what undoes it."""
    path = os.path.join(COPY, mutant["file"])
    with open(path) as f:
        before = f.read()
    lines = before.splitlines()
    at = [i for i, line in enumerate(lines) if line.strip() == mutant["line"]]
    if len(at) != 1:
        raise ValueError(f"the line stands {len(at)} times in {mutant['file']}, not once")
    indent = lines[at[0]][:len(lines[at[0]]) - len(lines[at[0]].lstrip())]
    lines[at[0]] = indent + mutant["with"]
    with open(path, "w") as f:
        f.write("\n".join(lines) + "\n")

    def undo():
        with open(path, "w") as f:
            f.write(before)
    return undo


def tests_of(mutant, programs):
    chosen = []
    for word in mutant["tests"].split():
        found = [p for p in programs if word in (p.suite, p.name)]
        if not found:
            raise ValueError(f"there is no test '{word}'")
        chosen += [p for p in found if p not in chosen]
    return chosen


def first_failure(programs, logs):
    for program in programs:
        failed = [c for c in program.run("", logs) if c.result == "not ok"]
        if failed:
            return failed[0]
    return None


def try_one(mutant, programs, logs):
    """Returns the Case for this fault."""
    sentence = f"{mutant['name']}: {mutant['what']}"
    undo = None
    try:
        chosen = tests_of(mutant, programs)
        undo = plant(mutant)
        build.build("build", logs, COPY)
        caught = first_failure(chosen, logs)
    except (ValueError, OSError) as error:
        return Case("mutants", sentence, "not ok", [str(error)])
    except build.BuildError as error:
        return Case("mutants", sentence, "not ok", [f"it does not build; see {error}"])
    finally:
        if undo:
            undo()
    if caught:
        return Case("mutants", sentence, "ok", [f"caught by {caught.program}: {caught.sentence}"])
    return Case("mutants", sentence, "not ok", [f"no test of '{mutant['tests']}' notices"])


def run(pattern, say, logs):
    chosen = [m for m in map(read, sorted(glob.glob("tests/mutants/*.mutant")))
              if pattern in m["name"] or pattern in m["what"]]
    copy_tree()
    build.build("build", logs, COPY)
    programs = [Program(suite, name, [path]) for suite, name, path in build.programs("build", COPY)]
    results = []
    # A test that fails without any fault catches nothing.
    words = {word for m in chosen for word in m["tests"].split()}
    healthy = first_failure([p for p in programs if {p.suite, p.name} & words], logs)
    if healthy:
        say(f"not ok - {healthy.program}: {healthy.sentence} fails without any fault planted")
        return [healthy]
    for mutant in chosen:
        if process.stopping.is_set():
            break
        case = try_one(mutant, programs, logs)
        say(f"{case.result} - {case.sentence}", *[f"    {line}" for line in case.detail])
        results.append(case)
    return results
