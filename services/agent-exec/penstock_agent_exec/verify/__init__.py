"""How a check went, beyond its exit status: which tests failed, whether they fail again, whether they had failed before.

Rule of these rooms: the verdict is the exit status. Reports are written by code that nobody trusts; they say more about a
failure and never make one a pass.
"""
