"""Writes `deploy/nats.conf`: the users and rights of the launcher's configuration, for a broker in a container.

Run it with the workspace's Python after rights have changed; a test compares. Passwords are variables of an included file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from penstock_launcher import nats_conf

POOLS: Final = ("claude", "codex", "gemini", "qwen", "scripted")
HOSTS: Final = ("exec-1", "exec-2", "exec-3")
"""Names that executors may have; one more executor needs its name here."""


def password_variable(user: str) -> str:
    return user.upper().replace("-", "_") + "_PASSWORD"


def render() -> str:
    """The whole file."""
    users = ",\n".join(
        f"    {{ user: {json.dumps(user)}, password: ${password_variable(user)}, permissions: {_permissions(rights)} }}"
        for user, rights in nats_conf.rights_of_all(POOLS, HOSTS).items()
    )
    return f"""\
# Written by deploy/render_nats_conf.py; changes made here are lost.
# One line per user: PASSWORD variables, from a secret. The path is relative to this file, in /etc/nats.
include '../../run/secrets/nats-passwords'

server_name: penstock
listen: "0.0.0.0:4222"
http: "0.0.0.0:8222"
max_payload: {nats_conf.MAX_PAYLOAD_BYTES}
# Without `always`, a power cut loses what was acknowledged in the last two minutes.
jetstream {{ store_dir: "/data", sync_interval: always }}
# The client library cannot read the second form of acknowledgement subjects.
feature_flags {{ js_ack_fc_v2: false }}
authorization {{
  users: [
{users}
  ]
}}
"""


def _permissions(rights: nats_conf.Rights) -> str:
    publish = {"allow": list(rights.publish)} | ({"deny": list(rights.refused)} if rights.refused else {})
    return json.dumps({"publish": publish, "subscribe": {"allow": list(rights.subscribe)}})


if __name__ == "__main__":
    (Path(__file__).parent / "nats.conf").write_text(render(), encoding="utf-8")
