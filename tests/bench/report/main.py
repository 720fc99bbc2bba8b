"""main: options, building, running, comparing."""
import argparse
import json
import os
import subprocess
import sys

from . import pages, plot, table

BUILD = "build-bench"
PROGRAMS = ("aead", "path", "dns")
MEMORY_MB = 2000
FLAG_AT = 0.05
# What tells one measurement from another; everything else in an object is a result.
IDENTITY = ("bench", "path", "subject", "case", "frame_bytes", "bytes", "aad_bytes", "keys", "clients",
            "flows", "names", "sessions", "burst", "access")

# What each program is run for: with its own defaults, and with clients that are WireGuard devices.
RUNS = {
    "path": ([], ["--wireguard", "--flows", "10000", "--clients", "1,10000", "--sessions", "1",
                  "--names", ""]),
}

# What is measured only when asked for: what bench-path is told, and the memory it takes.
APART = {
    "reload": (["--reload", "--flows", "10000,1000000"], 3000),
    "scale": (["--flows", "10000,1000000,10000000", "--sessions", "1", "--bytes", "64", "--names", ""],
              7000),
}

# plot: (title, x axis, field, what bench-path is told)
SWEEPS = {
    "flows": ("Cycles against flows, 64 B, coalesced", "flows",
              ["--flows", "1000,10000,100000,1000000", "--bytes", "64", "--sessions", "1"]),
    "clients": ("Cycles against clients, 64 B, 100,000 flows", "clients",
                ["--flows", "100000", "--clients", "1,100,10000", "--bytes", "64", "--sessions", "1"]),
    "frame_bytes": ("Cycles against frame size, 10,000 flows", "bytes a frame",
                    ["--flows", "10000", "--bytes", "64,128,256,512,1024,1400", "--sessions", "1"]),
    "burst": ("Cycles against burst, 64 B, 10,000 flows", "packets a burst",
              ["--flows", "10000", "--bytes", "64", "--sessions", "1", "--burst", "1,4,16,64,256"]),
    "sessions": ("Cycles against sessions, 64 B, 100,000 flows", "sessions",
                 ["--flows", "100000", "--bytes", "64", "--sessions", "1,16,256,4096"]),
}


def build():
    if not os.path.exists(os.path.join(BUILD, "build.ninja")):
        subprocess.run(["meson", "setup", BUILD, "-Db_ndebug=true"], check=True,
                       stdout=subprocess.DEVNULL)
    found = subprocess.run(["ninja", "-C", BUILD, "-t", "targets", "all"], check=True, text=True,
                           capture_output=True).stdout
    there = [p for p in PROGRAMS if f"tests/bench/bench-{p}:" in found]
    subprocess.run(["ninja", "-C", BUILD, "-j2", *(f"tests/bench/bench-{p}" for p in there)],
                   check=True, stdout=subprocess.DEVNULL)
    return there


def measure(program, words):
    done = subprocess.run([os.path.join(BUILD, "tests", "bench", f"bench-{program}"), "--json", *words],
                          text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"bench-{program} failed and its figures are not worth reading:\n{done.stderr}")
    return json.loads(done.stdout)


def machine():
    model = "?"
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return {"bench": "machine", "cpu": model, "cores": os.cpu_count(), "load": os.getloadavg()[0]}


def identity(o):
    return tuple((k, o[k]) for k in IDENTITY if k in o)


def compare(objects, file):
    """Prints every change over 5 % of a least figure; returns whether something got slower."""
    with open(file) as f:
        before = {identity(o): o for o in json.load(f)}
    slower, nb = False, 0
    for o in objects:
        old = before.get(identity(o))
        for field in [k for k in o if k.endswith("_min")] if old else []:
            if field not in old or not old[field]:
                continue
            nb += 1
            change = o[field] / old[field] - 1
            if abs(change) > FLAG_AT:
                slower |= change > 0
                what = ", ".join(f"{v} {k}" if k != "bench" else v for k, v in identity(o))
                print(f"{'slower' if change > 0 else 'faster'} {change:+7.1%}  "
                      f"{old[field]:.0f} -> {o[field]:.0f}  {field} of {what}")
    print(f"{nb} figures compared with {file}")
    return slower


def draw(folder):
    os.makedirs(folder, exist_ok=True)
    objects = []
    for field, (title, label, words) in SWEEPS.items():
        found = measure("path", [*words, *(["--names", "100,1000,10000,100000"]
                                           if field == "flows" else ["--names", ""])])
        objects += found
        for leg in (False, True):
            lines = {p: v for p, v in plot.by_path(found, field).items() if p.endswith("new flow") == leg}
            if lines and not (leg and field == "frame_bytes"):
                plot.draw(os.path.join(folder, f"{field}{'-new' if leg else ''}.svg"), title, label,
                          "TSC cycles per packet", lines)
    names = [o for o in objects if o["path"] == "dns answer"]
    plot.draw(os.path.join(folder, "names.svg"), "Cycles against names, DNS answers, 10,000 clients",
              "names", "TSC cycles per query", plot.by_path(names, "names"))
    return objects


def main(argv, text):
    parser = argparse.ArgumentParser(usage=text.replace("%", "%%"), add_help=True)
    for option in ("json", "quick", "lab", "answers", "nodes", *APART):
        parser.add_argument(f"--{option}", action="store_true")
    for option in ("compare", "save", "plots", "only"):
        parser.add_argument(f"--{option}")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=5)
    o = parser.parse_args(argv)

    if o.lab or o.answers:
        from . import answers, pairs
        return (pairs if o.lab else answers).main(o.pairs, o.seconds, o.json)
    there = build()
    objects = [machine()]
    apart = [APART[k] for k in APART if getattr(o, k)]
    with pages.reserved(max([MEMORY_MB, *(mb for _, mb in apart)])) as are_huge:
        objects[0]["huge_pages"] = int(are_huge)
        if apart:
            for words, mb in apart:
                objects += measure("path", [*words, "--memory", str(mb)])
        elif o.plots:
            objects += draw(o.plots)
        else:
            for program in there:
                if o.only in (None, program):
                    for words in RUNS.get(program, ([],)):
                        objects += measure(program, (["--quick"] if o.quick else []) + words)
    if o.save:
        with open(o.save, "w") as f:
            f.write("[\n" + ",\n".join(json.dumps(x) for x in objects) + "\n]\n")
    if o.json:
        print(json.dumps(objects, indent=1))
    else:
        table.show([x for x in objects if x["bench"] != "machine"])
        if o.nodes:
            table.show_nodes([x for x in objects if x["bench"] == "path"])
    return 1 if o.compare and compare(objects, o.compare) else 0
