"""labtest: cases that run against one lab.

    from labtest import case, expect

    @case("A3: AAAA of a granted name is NOERROR without data")
    def aaaa_is_nodata(lab):
        expect(lab.dig("client", "git.corp.example", "AAAA").answers, [])

After every case, asked or not: no private address was in any packet a client got (B1), all daemons
run, and none dropped a packet by its own fault. A case that provokes one of these says so:
`ends="pop"` (it ends that daemon and starts it again), `our_fault=True`. One that measures what a second
lab beside it would disturb says `alone=True`; another that fails beside a second lab gets one attempt without.

case, expect  here
lab           what a case can do: run, dig, curl, sockets in a namespace, sluicectl
packets       captures and what may be in them
qr            reads QR codes off a terminal
runner        tests/lab/run
sharing       its cases, shared out among labs
zone          changes at a private DNS server
"""
import inspect

CASES = []


class Failed(Exception):
    """A case's expectation did not hold."""


class Case:
    def __init__(self, sentence, function, ends, our_fault, alone):
        self.sentence = sentence
        self.function = function
        self.ends = ends.split()
        self.our_fault = our_fault
        self.alone = alone


def case(sentence, ends="", our_fault=False, alone=False):
    """Register the function below as a case. `ends`: daemons it may end; `alone`: no other case beside it."""
    def register(function):
        CASES.append(Case(sentence, function, ends, our_fault, alone))
        return function
    return register


def fail(message):
    raise Failed(message)


def expect(found, wanted, about=""):
    """found must equal wanted."""
    if found != wanted:
        line = inspect.stack()[1].lineno
        fail(f"line {line}: {about + ': ' if about else ''}expected {wanted!r}, found {found!r}")


def expect_true(condition, about):
    if not condition:
        fail(f"line {inspect.stack()[1].lineno}: expected {about}")
