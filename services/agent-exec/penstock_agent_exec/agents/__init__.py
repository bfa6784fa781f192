"""Coding agents, one file each: how to start its program, how to read it, what to make of its end.

`vendor.py` is what they have in common, `facts.py` the vocabulary they are read into, `run.py` one run from start to verdict,
`known.py` which of them this host has.
"""
