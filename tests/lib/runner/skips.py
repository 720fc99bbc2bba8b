"""skips: the only cases that may be skipped, each with a proof that the machine lacks something.

tests/skips.txt, one a line:  SENTENCE | PROBE | WHY
A failed case whose sentence starts with SENTENCE counts as skipped if the shell command PROBE
exits 0, which is to prove that the machine cannot run it. A case of the lab is never skipped.
"""
import subprocess

PATH = "tests/skips.txt"


class Skips:
    def __init__(self, path=PATH):
        self.rows = []
        self.proved = {}
        with open(path) as f:
            for nb, line in enumerate(f, 1):
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                parts = [part.strip() for part in line.split(" | ")]
                if len(parts) != 3 or not all(parts):
                    raise SystemExit(f"{path}:{nb}: want SENTENCE | PROBE | WHY")
                self.rows.append(parts)

    def apply(self, case):
        """Turn a failure into a skip where the file and its probe allow it."""
        if case.result != "not ok" or case.program == "lab":
            return
        for sentence, probe, why in self.rows:
            if case.sentence.startswith(sentence) and self._proves(probe):
                case.result = "skipped"
                case.detail = [why]

    def _proves(self, probe):
        if probe not in self.proved:
            done = subprocess.run(["sh", "-c", probe], capture_output=True, stdin=subprocess.DEVNULL)
            self.proved[probe] = done.returncode == 0
        return self.proved[probe]
