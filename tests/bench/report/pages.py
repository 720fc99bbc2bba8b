"""pages: huge pages for as long as a bench runs, if this machine lets us."""
import contextlib

PATH = "/proc/sys/vm/nr_hugepages"
PAGE_MB = 2


def _read():
    with open(PATH) as f:
        return int(f.read())


def _write(nb):
    with open(PATH, "w") as f:
        f.write(str(nb))


@contextlib.contextmanager
def reserved(megabytes):
    """Yields whether there are enough; puts back what it found."""
    want = megabytes // PAGE_MB + 8
    try:
        found = _read()
        if found < want:
            _write(want)
        enough = _read() >= want
    except OSError:
        yield False
        return
    try:
        yield enough
    finally:
        _write(found)
