"""Repos that are folders of this host, without any remote: what may be one, and how a change gets into it.

Rule of this room: nothing is ever pushed, no branch of the person's is moved and no git of ours runs in their folder outside a
sandbox. Only edits of files, and only where the files are as the change found them.
"""
