"""report: what scripts/bench does around the bench programs.

main     options, building, running, comparing
pages    huge pages for as long as a bench runs
table    tables for a terminal
plot     SVG without any library
pairs    Sluice and wireguard-go in the same topology
"""
