"""sharing: the cases of a run shared out among labs that stand side by side.

A case mostly waits; two labs take half the time. Each lab is a process of its own. It takes the next case when
it is done with one; those that want to be alone come last, in the first lab, when the others are down. There a case
that failed while another lab took half of the processor is run again, and that attempt decides; both are told of.
"""
import multiprocessing
import os

NB_LABS = 2
WORTH_A_LAB = 8  # cases; to bring a lab up takes longer than a few

_fork = multiprocessing.get_context("fork")
_writing = _fork.Lock()
_times = None

AGAIN_MAX = 5  # more failures than these are no accident

_shared = []  # the cases that are shared out, and for each
_failed = None  # whether it failed and is to be run again
_is_beside = False  # may another lab stand beside this one?


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


def put_off(case):
    """Whether a case that failed is run again, alone."""
    if not _is_beside:
        return False
    with _failed.get_lock():
        if sum(_failed) < AGAIN_MAX:
            _failed[_shared.index(case)] = 1
    return bool(_failed[_shared.index(case)])


def _take_all(alone, taken, others):
    """What the first lab runs."""
    global _is_beside
    yield from _take(_shared, taken)
    for other in others:
        other.join()
    _is_beside = False
    yield from [case for case, failed in zip(_shared, _failed) if failed]
    yield from alone


def run(chosen, run_lab, logs):
    """run_lab(number, cases) brings a lab up, runs what the iterator yields and returns an exit code. Returns 0
    when all do. `logs`/lab-times.txt has the seconds of each case."""
    global _times, _shared, _failed, _is_beside
    _times = os.path.join(logs, "lab-times.txt")
    open(_times, "w").close()
    _shared, alone = [c for c in chosen if not c.alone], [c for c in chosen if c.alone]
    nb_labs = NB_LABS if len(_shared) >= WORTH_A_LAB * NB_LABS and (os.cpu_count() or 1) > 1 else 1
    taken = _fork.Value("i", 0)
    _failed = _fork.Array("b", len(_shared))
    _is_beside = nb_labs > 1
    others = [_fork.Process(target=lambda number=n: os._exit(run_lab(number, _take(_shared, taken))))
              for n in range(1, nb_labs)]
    for other in others:
        other.start()
    try:
        code = run_lab(0, _take_all(alone, taken, others))
    finally:
        for other in others:
            if other.is_alive():
                other.terminate()  # it takes its lab down
            other.join()
    return 1 if code or any(other.exitcode for other in others) else 0
