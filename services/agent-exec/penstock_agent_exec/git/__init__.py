"""Git on a host that runs code it does not trust.

Two sides. The trusted side is one bare mirror per repo (`mirror.py`), what is read from it (`change.py`), and the push
(`publish.py`). The agent's side is one clone per task (`clone.py`, `heal.py`, `work.py`); whatever lies in it, its
configuration and hooks included, may have been written by an attacker. Between them goes a bundle (`bundle.py`).

The rule of this room: in a clone, git runs only through the `Sandboxed` runner that the caller hands in; outside, git
runs only in directories that no agent can write.
"""
