"""Escapes tried on this very host, in the very sandbox that agents get here: `python -m penstock_agent_exec.selftest`.

The rule of this room: an attempt that cannot succeed anywhere proves nothing. So each is made twice, without the sandbox and in
it, by the same few lines, and the table says of both what was seen.
"""
