"""program: run one test program and read what it says.

A program prints "ok - SENTENCE" or "not ok - SENTENCE" for each case, what it has to say about it
indented below, and exits 0 only if all passed. Anything else (a signal, silence, no end) is a
failure of the program itself. "again - SENTENCE" (the lab): it failed, and one of the others follows.
"""
import os
import re
import signal
import subprocess
from dataclasses import dataclass, field

from . import process

TIMEOUT_S = 600  # far above any program's need: it ends a program that hangs
LIST_TIMEOUT_S = 60

ENV = {
    # A UBSan finding ends the program, as an ASan finding does.
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
}


@dataclass
class Case:
    program: str  # "unit-inet", "san-unit-inet", "lab"
    sentence: str
    result: str  # "ok", "not ok", "skipped"; "again": failed, and another attempt decides
    detail: list = field(default_factory=list)

    def numbers(self):
        """The behaviours it speaks for: ["A2", "A3"] of "A2 A3: ..."."""
        match = re.match(r"((?:[A-E]\d+[ ,]*)+):", self.sentence)
        return re.findall(r"[A-E]\d+", match[1]) if match else []


@dataclass
class Program:
    suite: str  # as named on the command line
    name: str
    argv: list
    timeout_s: int = TIMEOUT_S
    alone: bool = False  # nothing else runs beside it

    def sentences(self):
        """What --list prints; a program that does not list is one case of its own name."""
        done = subprocess.run(self.argv + ["--list"], capture_output=True, text=True,
                              timeout=LIST_TIMEOUT_S, env={**os.environ, **ENV},
                              stdin=subprocess.DEVNULL)
        lines = [line for line in done.stdout.splitlines() if line and not line.startswith(" ")]
        return lines if done.returncode == 0 and lines else [self.name]

    def run(self, pattern, logs):
        """Run the cases that contain pattern ("" for all); returns the list of Case."""
        log_path = os.path.join(logs, self.name + ".log")
        argv = self.argv + ([pattern] if pattern else [])
        env = {**ENV, "SL_TEST_LOG_DIR": os.path.abspath(logs)}
        with open(log_path, "wb") as log:
            status = process.run(argv, log, self.timeout_s, env)
        with open(log_path, errors="replace") as log:
            cases = parse(self.name, log)
        return cases + self.verdict(status, cases)

    def verdict(self, status, cases):
        """Failures that the program itself did not report."""
        def failure(what):
            last = f'; the last case to end was "{cases[-1].sentence}"' if cases else ""
            return [Case(self.name, self.name, "not ok", [what + last])]

        if process.stopping.is_set():
            return []
        if status is None:
            return failure(f"it did not end within {self.timeout_s} s")
        if status < 0:
            return failure(f"it died of {signal.Signals(-status).name}")
        if status != 0 and all(c.result != "not ok" for c in cases):
            return failure(f"it exited with {status} though no case failed")
        if status == 0 and any(c.result == "not ok" for c in cases):
            return failure("it exited with 0 though a case failed")
        decided = {c.sentence for c in cases if c.result != "again"}
        for case in cases:
            if case.sentence not in decided:
                return failure(f'"{case.sentence}" was to be run again and was not')
        return [] if cases else failure("it ran no case")


def parse(program, lines):
    cases = []
    early = []  # what a case prints before its verdict, as sl_test_note does
    for line in lines:
        line = line.rstrip("\n")
        match = re.match(r"(ok|not ok|again) - (.*)", line)
        if match:
            cases.append(Case(program, match[2], match[1], early))
            early = []
        elif re.match(r"\s+\S+:\d+: ", line) and cases and not early:
            cases[-1].detail.append(line.strip())
        elif line.strip():
            early.append(line.strip())
    return cases
