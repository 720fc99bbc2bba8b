"""inside: run something with a lab of its own beside any other."""
import os
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def lab(prefix, run):
    """What run() returns, called while a lab of this prefix is up. Becomes root first, if need be."""
    script = os.path.join(TOP, "scripts", "lab")
    if os.getuid() != 0:
        os.execvp("sudo", ["sudo", "-E", "--", os.path.join(TOP, "scripts", "bench"), *sys.argv[1:]])
    os.environ["SLUICE_LAB_PREFIX"] = prefix
    sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
    try:
        subprocess.run([script, "up"], check=True, stdout=subprocess.DEVNULL)
        return run()
    finally:
        subprocess.run([script, "down"], stdout=subprocess.DEVNULL)
