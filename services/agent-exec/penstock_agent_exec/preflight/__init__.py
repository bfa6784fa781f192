"""The last look at a change before anything outside is touched: on the trusted mirror, never in the agent's clone.

Rule of this room: it fails closed. What cannot be read, looked at or run to its end speaks against the change, by name.
"""
