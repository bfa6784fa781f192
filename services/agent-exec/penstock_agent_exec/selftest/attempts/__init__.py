"""What is attempted. Runs inside a sandbox and outside of one, so only the standard library is used, and nothing of Penstock.

The rule of this room: an attempt returns what it has got hold of, and raises OSError or Kept where it was kept from it. Whatever
else it raises is a fault of its own, and proves nothing. Nothing here changes the host: what is set is set to what it was.
"""
