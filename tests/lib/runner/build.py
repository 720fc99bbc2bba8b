"""build: configure and build a tree, and name the test programs it holds."""
import json
import os
import re
import shutil
import subprocess

from . import process

SUITES = ("unit", "kat", "model", "path", "fuzz")
BUILD_TIMEOUT_S = 1500

# directory: (environment, meson options)
TREES = {
    "build": ({"CC": "gcc"}, []),
    "build-san": (
        {"CC": "clang"},
        ["-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1"],
    ),
}


class BuildError(Exception):
    """The log is the explanation."""


def build(tree, logs, top="."):
    """Bring `tree` up to date, configuring it first where needed."""
    env, options = TREES[tree]
    log_path = os.path.join(logs, f"{tree}.log")
    with open(log_path, "w") as log:
        if not os.path.exists(os.path.join(top, tree, "build.ninja")):
            shutil.rmtree(os.path.join(top, tree, "meson-info"), ignore_errors=True)
            shutil.rmtree(os.path.join(top, tree, "meson-private"), ignore_errors=True)
            status = process.run(["meson", "setup", tree, *options], log, BUILD_TIMEOUT_S, env, top)
            if status != 0:
                raise BuildError(log_path)
        # Two jobs: a machine of two cores and 4 GiB builds the sanitizer tree without swapping.
        if process.run(["ninja", "-C", tree, "-j2"], log, BUILD_TIMEOUT_S, env, top) != 0:
            raise BuildError(log_path)


def programs(tree, top="."):
    """[(suite, name, path)] of the test programs that the build describes; what an older build
    has left behind is not among them."""
    text = subprocess.run(
        ["meson", "introspect", "--targets", tree], cwd=top, check=True, capture_output=True).stdout
    found = []
    for target in json.loads(text):
        match = re.fullmatch(r"(%s)-(.+)" % "|".join(SUITES), target["name"])
        if target["type"] == "executable" and match:
            path = target["filename"][0]
            if os.path.exists(path):
                found.append((match[1], target["name"], path))
    return sorted(found, key=lambda p: (SUITES.index(p[0]), p[1]))
