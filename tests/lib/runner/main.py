"""main: the command line of scripts/test, the order of things, and the last line."""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from . import build, checks, mutants, process
from .program import Program
from .skips import Skips

SUITES = (*build.SUITES, "lab", "san")
LOGS = "build/test-logs"
RESULTS = "build/test-results.json"  # of the last full run
LAB_TIMEOUT_S = 1500
_print_lock = threading.Lock()


class Options:
    def __init__(self, argv, lab_by_default):
        flags = [a for a in argv if a.startswith("--")]
        words = [a for a in argv if not a.startswith("--")]
        self.list = "--list" in flags
        self.mutants = "--mutants" in flags
        self.behaviours = "--behaviours" in flags
        self.unknown = [f for f in flags if f not in ("--list", "--mutants", "--behaviours")]
        self.suites = []
        while words and words[0] in SUITES:
            self.suites.append(words.pop(0))
        self.pattern = " ".join(words)
        self.full = not self.suites and not self.pattern
        if not self.suites:
            self.suites = [s for s in SUITES if s != "lab" or lab_by_default]


def say(*lines):
    with _print_lock:
        for line in lines:
            print(line, flush=True)


def find_programs(options):
    found = []
    if set(options.suites) & set(build.SUITES):
        for suite, name, path in build.programs("build"):
            if suite in options.suites:
                found.append(Program(suite, name, [path], alone=suite == "path"))
    if "san" in options.suites:
        for suite, name, path in build.programs("build-san"):
            found.append(Program("san", f"san-{name}", [path], alone=suite == "path"))
    if "lab" in options.suites:
        sudo = [] if os.getuid() == 0 else ["sudo", "-E"]
        found.append(Program("lab", "lab", [*sudo, "tests/lab/run"], LAB_TIMEOUT_S, alone=True))
    return found


def select(programs, pattern):
    """[(program, pattern to hand it)] of the programs that have a matching case."""
    if not pattern:
        return [(p, "") for p in programs]
    chosen = []
    for program in programs:
        if pattern in program.name:
            chosen.append((program, ""))
        elif any(pattern in sentence for sentence in program.sentences()):
            chosen.append((program, pattern))
    return chosen


def list_cases(programs, pattern):
    nb = 0
    for program in programs:
        for sentence in program.sentences():
            if pattern in program.name or pattern in sentence:
                print(f"{program.name}: {sentence}")
                nb += 1
    return 0 if nb else 1


def tell(program, cases, verbose):
    """Print how a program went: one line, and all about what failed."""
    failed = [c for c in cases if c.result == "not ok"]
    skipped = [c for c in cases if c.result == "skipped"]
    lines = []
    for case in [c for c in cases if c.result == "again"]:
        lines.append(f"again - {program.name}: {case.sentence}")
        lines += [f"    {line}" for line in case.detail[-30:]]
    if verbose:
        lines += [f"ok - {c.sentence}" for c in cases if c.result == "ok"]
    for case in failed:
        lines.append(f"not ok - {program.name}: {case.sentence}")
        lines += [f"    {line}" for line in case.detail[-30:]]
        quoted = case.sentence.replace("'", "'\\''")
        lines.append(f"    again: scripts/test {program.suite} '{quoted}'")
    if failed:
        lines.append(f"    log:   {LOGS}/{program.name}.log")
        lines += [f"    pcap:  {LOGS}/{name}" for name in sorted(os.listdir(LOGS))
                  if name.endswith(".pcap") and name.startswith(program.name.removeprefix("san-") + ".")]
    lines += [f"skipped - {program.name}: {c.sentence} ({c.detail[0]})" for c in skipped]
    state = "FAILED" if failed else "ok"
    lines.append(f"{state:6} {program.name} ({sum(c.result != 'again' for c in cases)} cases)")
    say(*lines)


def run_programs(chosen, skips, verbose, jobs=2):
    results = []

    def one(program, pattern):
        cases = program.run(pattern, LOGS)
        for case in cases:
            skips.apply(case)
        return cases

    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(one, p, pattern): p for p, pattern in chosen if not p.alone}
        for done in as_completed(running):
            results += done.result()
            tell(running[done], done.result(), verbose)
    for program, pattern in chosen:
        if program.alone and not process.stopping.is_set():
            cases = one(program, pattern)
            results += cases
            tell(program, cases, verbose)
    return results


def run_checks(options, results):
    """The rules about the tree go with the unit suite; those about results need the results."""
    cases = []
    if "unit" in options.suites:
        for sentence, function in checks.TREE_CHECKS:
            if options.pattern in sentence:
                cases.append(checks.run(sentence, function))
    for sentence, function, needs_all in checks.RESULT_CHECKS:
        if options.full or (not needs_all and not options.pattern):
            cases.append(checks.run(sentence, function, results))
    for case in cases:
        if case.result == "not ok":
            say(f"not ok - check: {case.sentence}", *[f"    {line}" for line in case.detail[:40]])
    if cases:
        failed = any(c.result == "not ok" for c in cases)
        say(f"{'FAILED' if failed else 'ok':6} check ({len(cases)} cases)")
    return cases


def save_results(results):
    rows = [{"program": c.program, "sentence": c.sentence, "result": c.result} for c in results]
    with open(RESULTS, "w") as f:
        json.dump(rows, f, indent=1)


def print_behaviours():
    from .program import Case
    with open(RESULTS) as f:
        cases = [Case(r["program"], r["sentence"], r["result"]) for r in json.load(f)]
    for number, (_, state, tests) in checks.behaviours().items():
        by = {}
        for case in cases:
            if number in case.numbers() and case.result == "ok":
                by[case.program] = by.get(case.program, 0) + 1
        told = " ".join(f"{p}({n})" for p, n in sorted(by.items()) if not p.startswith("san-"))
        print(f"{number:4} {state:5} {told}")
    return 0


def last_line(results):
    count = {r: sum(c.result == r for c in results) for r in ("ok", "not ok", "skipped")}
    twice = sum(c.result == "again" for c in results)
    say(f"{count['ok']} passed, {count['not ok']} failed, {count['skipped']} skipped"
        + (f"; {twice} of the lab were run again, alone, and that attempt counts" if twice else ""))
    return 0 if count["ok"] and not count["not ok"] else 1


def prepare(options):
    """Set the machine up and build what the suites need. Returns an exit code or 0."""
    began = time.monotonic()
    if subprocess.run(["scripts/setup"], stdin=subprocess.DEVNULL).returncode != 0:
        say("0 passed, 1 failed, 0 skipped")
        return 1
    trees = ["build"] if set(options.suites) - {"san"} else []
    trees += ["build-san"] if "san" in options.suites else []
    for tree in trees:
        try:
            build.build(tree, LOGS)
        except build.BuildError as error:
            with open(str(error), errors="replace") as log:
                say(*[line.rstrip() for line in log.readlines()[-40:]])
            say(f"not ok - {tree} does not build", f"    log:   {error}",
                "0 passed, 1 failed, 0 skipped")
            return 1
    if not options.list:
        say(f"built  {' and '.join(trees)} in {time.monotonic() - began:.0f} s")
    return 0


def take_tree():
    """One run at a time in a tree: two would build and write logs over each other."""
    os.makedirs("build", exist_ok=True)
    lock = open("build/.test-lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        say("another scripts/test runs in this tree; waiting for it to end")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def on_signal(number, _frame):
    """End the children from a thread beside us: the main thread may be waiting for one of them."""
    if not process.stopping.is_set():
        process.stopping.set()
        threading.Thread(target=process.stop_all).start()
        raise KeyboardInterrupt(number)


def run(options):
    lock = take_tree()  # noqa: F841 held until we end
    if not options.list:
        shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS, exist_ok=True)
    code = prepare(options)
    if code:
        return code
    programs = find_programs(options)
    if options.list:
        return list_cases(programs, options.pattern)
    if options.mutants:
        return last_line(mutants.run(options.pattern, say, LOGS))
    results = run_programs(select(programs, options.pattern), Skips(), bool(options.pattern))
    results += run_checks(options, results)
    if options.full:
        save_results(results)
    if not results:
        say(f"no case matches '{options.pattern}'")
    return last_line(results)


def main(argv, usage, lab_by_default):
    options = Options(argv, lab_by_default)
    if options.unknown:
        print(usage, file=sys.stderr)
        return 2
    if options.behaviours:
        return print_behaviours()
    if options.mutants:
        options.suites = ["unit"]  # what is built first; the faults name their own tests
    process.become_subreaper()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    try:
        return run(options)
    except KeyboardInterrupt:
        process.stop_all()
        say("stopped")
        return 130
    finally:
        process.kill_orphans()
