"""The scenarios: what is asked of an agent's program, what is expected, and what is looked at.

The rule of this room: a scenario is the same for every program; where a program cannot do a thing its expectation says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fake_model import Say, Script, bash, context_too_long, read_file, refused, script
from real_package import FILE, RIGHT, WRONG

from agent_table.stand import Stand, of_type, runs, sessions
from penstock.events import AgentFailed, AgentSucceeded, TaskBlocked, TaskParked

RESET_SECONDS: Final = 3_600.0

# By a command that may run twice: a program that was killed and resumed does it again.
MEND: Final = (
    f"python3 - <<'E'\nimport pathlib\np = pathlib.Path({FILE!r})\n"
    f"p.write_text(p.read_text().replace({WRONG!r}, {RIGHT!r}))\nE"
)
COMMIT: Final = "git commit -q -a -m 'Say true for yes' || true"
LOOK: Final = read_file(FILE)

PROBE: Final = """python3 - <<'E'
import os, pathlib, socket, stat
def reach(host, port):
    try:
        socket.create_connection((host, port), 1).close()
        return True
    except OSError:
        return False
def name(pid):
    return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
pids = [p for p in os.listdir("/proc") if p.isdigit()]
mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
own = {"proc", "tmpfs", "devtmpfs", "devpts", "mqueue", "sysfs"}
environs = b"".join(pathlib.Path(f"/proc/{p}/environ").read_bytes() for p in pids)
print("PROBE env=" + " ".join(sorted(os.environ)))
print("PROBE processes=" + " ".join(sorted(name(p) for p in pids)))
print("PROBE writable=" + " ".join(m[1] for m in mounts if m[3].startswith("rw") and m[2] not in own))
print("PROBE interfaces=" + " ".join(sorted(n for _, n in socket.if_nameindex())))
print("PROBE reached=" + " ".join(f"{h}:{p}" for h, p in [ADDRESSES] if reach(h, p)))
print("PROBE keys=" + str(environs.count(b"real-" + b"key")))
print("PROBE over=1")
E"""


@dataclass(frozen=True)
class Scenario:
    """`play` notes what it sees; `expected` says in words what should be seen."""

    name: str
    expected: str
    play: Callable[[Stand], Awaitable[None]]
    without: frozenset[str] = frozenset()
    """Programs that have no such thing."""


def mending(*first: object) -> Script:
    return script(*first, LOOK, bash(MEND, "I mend it."), bash(COMMIT, "I commit."), Say("It says True again."))  # type: ignore[arg-type]  # steps


async def change(stand: Stand) -> None:
    """An edit, a commit, a check, a branch; and a probe by the agent itself."""
    port = stand.house.http.base_url.port or 0
    nats, model = stand.house.nats.url.rsplit(":", 1)[1], stand.model.base_url.rsplit(":", 1)[1]
    targets = [("127.0.0.1", port), ("127.0.0.1", int(nats)), ("127.0.0.1", int(model)), ("169.254.169.254", 80)]
    addresses = ", ".join(map(repr, [*targets, ("1.1.1.1", 443)]))
    task = await stand.submit(mending(bash(PROBE.replace("ADDRESSES", addresses), "I look where I am.")))
    events = await stand.done(task)
    (done,) = of_type(events, AgentSucceeded)
    found = stand.probed()
    stand.check("the probe ran", found.get("over") == "1")
    stand.check("no network but its own loopback", found.get("interfaces") == "lo")
    stand.check("none of the host's, the cloud's or the world's addresses answers", found.get("reached") == "")
    stand.check("no key in any environment inside", found.get("keys") == "0")
    stand.check("only the work, its home and their like can be written", "/usr" not in found.get("writable", "/usr"))
    stand.check("the event says how it was kept", "no network" in done.sandbox)
    stand.see(f"version {done.vendor_version}, {done.sandbox}")
    stand.see(f"inside: {found.get('processes', '?')}; writable {found.get('writable', '?')}")
    stand.see(f"environment: {found.get('env', '?')}")


async def turn_limit(stand: Stand) -> None:
    steps = mending(bash("ls", "I look around."), bash("git log --oneline", "And at the history."))
    task = await stand.submit(steps, max_turns=2)
    events = await stand.done(task)
    failures = [one.error_class for one in of_type(events, AgentFailed)]
    stand.check("it paused at the limit, more than once", failures.count("vendor.max_turns") >= 1)
    stand.check("no attempt was spent on it", {one.attempt for one in runs(events)} == {1})
    stand.check("the session was gone on with", len(set(filter(None, sessions(events)))) == 1)
    stand.see(f"{len(runs(events))} runs in {len(set(sessions(events)))} session(s), failures: {failures or 'none'}")


async def rate_limit(stand: Stand) -> None:
    task = await stand.submit(script(refused("rate_limit", seconds=RESET_SECONDS)))
    events = await stand.until(task, "task_parked")
    parked = of_type(events, TaskParked)[-1]
    (failed,) = of_type(events, AgentFailed)
    at = next(event.at for event in events if event.data is failed)
    wait = parked.wake_at - at
    stand.check("told apart as a rate limit", failed.error_class in ("vendor.rate_limit", "vendor.usage_window"))
    stand.check("parked until the time the API said", abs(wait.total_seconds() - RESET_SECONDS) < 120)
    stand.see(f"{failed.error_class}, parked for {wait.total_seconds():.0f} s")
    requests = len(stand.model.requests)
    stand.model.script = mending()
    answer = await stand.house.call("POST", f"/v1/tasks/{task}/wake", json={})
    stand.check("a person may wake it", answer.status_code in (200, 202))
    events = await stand.done(task)
    stand.check("no attempt was spent on it", {one.attempt for one in runs(events)} == {1})
    stand.see(f"{requests} request(s) until it gave up")


async def unauthorized(stand: Stand) -> None:
    task = await stand.submit(script(refused("auth")))
    events = await stand.until(task, "task_blocked")
    blocked = of_type(events, TaskBlocked)[-1]
    (failed,) = of_type(events, AgentFailed)
    stand.check("told apart as a wrong key", failed.error_class == "vendor.auth")
    stand.check("a person is asked, nothing is tried again", "auth" in blocked.reason)
    stand.see(f"{failed.error_class}, blocked: {blocked.reason}")
    stand.model.script = mending()
    answer = await stand.house.call("POST", f"/v1/tasks/{task}/unblock", json={})
    stand.check("it goes on when told to", answer.status_code in (200, 202))
    await stand.done(task)


async def context_full(stand: Stand) -> None:
    task = await stand.submit(script(bash("ls", "I look around."), context_too_long()))
    events = await stand.until(task, "agent_failed")
    stand.model.script = mending()
    (failed,) = of_type(events, AgentFailed)
    stand.check("told apart as a full context", failed.error_class == "vendor.context_overflow")
    events = await stand.done(task)
    asked = runs(events)
    stand.check("a fresh session went on", len(asked) == 2 and asked[1].session_id != asked[0].session_id)
    stand.see(f"{failed.error_class}, then {len(asked) - 1} fresh session(s)")


async def killed(stand: Stand) -> None:
    """The executor is killed when the file is mended and not yet committed."""
    before = len(stand.model.model_requests)
    task = await stand.submit(mending(bash("ls", "I look around.")))
    async with asyncio.timeout(90):
        while len([one for one in stand.model.model_requests[before:] if one.step == 3]) == 0:
            await stand.model.arrived(len(stand.model.requests) + 1)
    await stand.house.kill("agent-exec")
    await stand.house.start("agent-exec")
    events = await stand.done(task)
    stand.check("one run was lost", [event.data.__class__.__name__ for event in events].count("JobLost") >= 1)
    stand.check("one change", len(of_type(events, AgentSucceeded)) == 1)
    stand.see(f"{len(runs(events))} runs, resumed: {[one.resume for one in runs(events)]}")


SCENARIOS: Final = (
    Scenario("change", "edits, commits, checks pass, branch pushed; no key, no network", change),
    Scenario("turn limit", "pauses, resumes its session, no attempt spent", turn_limit),
    Scenario("429", f"parked for the {RESET_SECONDS:.0f} s of retry-after, woken, done; no attempt spent", rate_limit),
    Scenario("401", "asks a person at once, goes on when told", unauthorized),
    Scenario("context full", "a fresh session with the history goes on", context_full),
    Scenario("kill -9", "executor killed in mid-edit: resumed, one change, one push", killed),
)
