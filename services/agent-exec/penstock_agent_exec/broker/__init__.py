"""The broker: whatever leaves a sandbox leaves through here. To the model by `gate`, to a repo's named hosts by `egress`.

Rule of this package: keys, budgets and addresses are on this side. What comes from inside is a stranger's, and is let through
because it is on a list, never because it is not on one.
"""
