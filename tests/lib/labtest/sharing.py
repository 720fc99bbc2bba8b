"""sharing: the cases of a run shared out among labs that stand side by side.

A case mostly waits; two labs take half the time. Each lab is a process of its own. It takes the next case when
it is done with one; those that want to be alone come last, in the first lab, when the others are down.
"""
import multiprocessing
import os

NB_LABS = 2
WORTH_A_LAB = 8  # cases; to bring a lab up takes longer than a few

_fork = multiprocessing.get_context("fork")
_writing = _fork.Lock()
_times = None


def write(text):
    with _writing:
        os.write(1, text.encode())


def write_time(seconds, sentence):
    with _writing, open(_times, "a") as f:
        f.write(f"{seconds:7.1f} {sentence}\n")


def _take(cases, taken):
    while True:
        with taken.get_lock():
            at = taken.value
            taken.value += 1
        if at >= len(cases):
            return
        yield cases[at]


def _take_all(shared, alone, taken, others):
    """What the first lab runs."""
    yield from _take(shared, taken)
    for other in others:
        other.join()
    yield from alone


def run(chosen, run_lab, logs):
    """run_lab(number, cases) brings a lab up, runs what the iterator yields and returns an exit code. Returns 0
    when all do. `logs`/lab-times.txt has the seconds of each case."""
    global _times
    _times = os.path.join(logs, "lab-times.txt")
    open(_times, "w").close()
    shared, alone = [c for c in chosen if not c.alone], [c for c in chosen if c.alone]
    nb_labs = NB_LABS if len(shared) >= WORTH_A_LAB * NB_LABS and (os.cpu_count() or 1) > 1 else 1
    taken = _fork.Value("i", 0)
    others = [_fork.Process(target=lambda number=n: os._exit(run_lab(number, _take(shared, taken))))
              for n in range(1, nb_labs)]
    for other in others:
        other.start()
    try:
        code = run_lab(0, _take_all(shared, alone, taken, others))
    finally:
        for other in others:
            if other.is_alive():
                other.terminate()  # it takes its lab down
            other.join()
    return 1 if code or any(other.exitcode for other in others) else 0
