"""runner: what scripts/test is made of.

main      the command line, the order of things, the last line
build     the two builds, and which programs they hold
process   children that never outlive us
program   run one test program, read its lines
checks    rules about the tree itself: format, generated documents, behaviours, listed tests
skips     tests/skips.txt
mutants   faults planted on purpose
"""
