"""test: build everything and run the tests; docs/testing.md tells the rest.

  test                        every suite, gcc build and sanitizer build
  test SUITE... [PATTERN]     some suites: unit kat model path fuzz lab san
  test [SUITE...] PATTERN     the cases whose "program: sentence" contains PATTERN
  test --list [...]           print the cases instead of running them
  test --mutants [PATTERN]    plant each fault of tests/mutants; some test must catch it
  test --behaviours           which programs passed a case of which behaviour, in the last full run
"""
import os
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "lib"))
os.chdir(TOP)

from runner import main  # noqa: E402

# Whether a run without a suite's name includes the lab.
LAB_BY_DEFAULT = True

sys.exit(main.main(sys.argv[1:], __doc__, LAB_BY_DEFAULT))
