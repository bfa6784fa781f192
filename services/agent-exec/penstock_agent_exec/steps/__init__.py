"""The steps of a task, one file each: what an order asks for is done, and what was seen is reported.

Rule of this room: a step decides nothing about the task. It ends in exactly one report, in `Stopped`, or in `Lost`; and
nothing of it runs on after that.
"""
