"""Given what agents' programs print, damaged in any way, nothing is raised, nothing grows, and what was used is not lost."""

from __future__ import annotations

import json
import os
import random
import resource
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest
from agent_recordings import RECORDINGS, agent_run, ending

from penstock.bounds import COUNT_MAX, USD_MAX
from penstock.values import Usage
from penstock_agent_exec.agents.claude import Claude
from penstock_agent_exec.agents.codex import Codex
from penstock_agent_exec.agents.facts import AnyFact
from penstock_agent_exec.agents.gemini import Gemini
from penstock_agent_exec.agents.generic import Generic
from penstock_agent_exec.agents.generic_file import read_agents
from penstock_agent_exec.agents.node_program import NodeProgram
from penstock_agent_exec.agents.qwen import Qwen
from penstock_agent_exec.agents.seen import Seen
from penstock_agent_exec.agents.vendor import Vendor, Verdict
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.redact import Redactor
from penstock_agent_exec.steps.running import line_of
from penstock_agent_exec.transcript import HEAD_BYTES_MAX, TAIL_BYTES_MAX, Transcript

TRANSCRIPTS: Final = int(os.environ.get("PENSTOCK_TEST_TRANSCRIPTS", "2500"))
"""The long form: PENSTOCK_TEST_TRANSCRIPTS=100000."""

GROWTH_BYTES_MAX: Final = 64 * 1024 * 1024
LINE_BYTES_MAX: Final = 64 * 1024
"""Of the splitter here, so that damage meets its limit often."""

REDACTOR: Final = Redactor({"key": "a-secret-of-this-test", "other": "result"})
"""One of them stands in what every program prints."""

HOSTILE: Final = (
    b"null", b"-1", b"1e999", b"-1e308", b"NaN", b"[]", b"{}", b'""', b"true", b"9" * 400, b"18446744073709551616",
    b'"\\ud800"', b'"\\u0000"', b"[" * 3_000, b'{"a":' * 3_000, b'"' + b"x" * 70_000 + b'"', b"0.1", b'"1"',
)  # fmt: skip
NOISE: Final = (
    b"", b" ", b"\xff\xfe\x00", b"\xef\xbb\xbf{}", b"\x1b[31mred\x1b[0m", b"null", b"[]", b'"text"', b"{}", b"{" * 5_000,
    b"npm warn deprecated", b'{"type":"of tomorrow","usage":null}', b'{"jsonrpc":"2.0","method":"later/news","params":{}}',
    b"a-secret-of-this-test", b"\r", b"x" * 70_000,
)  # fmt: skip
"""Lines that say nothing to any parser."""


class Kind(NamedTuple):
    """A vendor, a new one for each run, and the recordings of it."""

    vendor: Callable[[], Vendor]
    recordings: tuple[Path, ...]


def node(version: str) -> NodeProgram:
    return NodeProgram(node=Path("/n"), package=Path("/p"), script=Path("/p/s.js"), version=version)


def described() -> Vendor:
    """opencode, as the how-to describes it."""
    how_to = (Path(__file__).parents[2] / "docs" / "how-to" / "agents.md").read_text()
    block = next(part for part in how_to.split("```toml\n")[1:] if "agents.opencode" in part.split("```")[0])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "agents.toml"
        file.write_text(block.split("```")[0])
        return Generic(read_agents(file, ())["opencode"], Path("/p/opencode"), "1.18.33")


def recordings(folder: str, stem: str = "*") -> tuple[Path, ...]:
    found = sorted(RECORDINGS.glob(f"{folder}/{stem}.jsonl"))
    assert found, folder
    return tuple(path for path in found if path.stat().st_size)


APP_SERVER: Final = recordings("codex/*", "appserver_*")
KINDS: Final = {
    "claude": Kind(lambda: Claude(Path("/p/claude"), "2.1.197"), recordings("claude/*")),
    "codex": Kind(lambda: Codex(Path("/p/codex"), "0.169.0"), APP_SERVER),
    "codex exec": Kind(
        lambda: Codex(Path("/p/codex"), "0.169.0", "exec"), tuple(set(recordings("codex/*")) - set(APP_SERVER))
    ),
    "gemini": Kind(lambda: Gemini(node("0.61.0")), recordings("gemini/*")),
    "qwen": Kind(lambda: Qwen(node("0.24.4")), recordings("qwen/*")),
    "described": Kind(described, recordings("opencode/*")),
}


def chunks(printed: bytes, dice: random.Random) -> Iterator[bytes]:
    at = 0
    while at < len(printed):
        size = dice.choice((700, 5_000, 32_768))
        yield printed[at : at + size]
        at += size


def read(vendor: Vendor, printed: bytes, dice: random.Random) -> Verdict:
    """The way of what a program prints, from its pipe to its verdict, as a run takes it."""
    run = agent_run(resume=dice.random() < 0.5)
    stream, splitter, dialogue, seen = REDACTOR.stream(), LineSplitter(LINE_BYTES_MAX), vendor.dialogue(run), Seen()
    dialogue.begin()
    before = Usage()
    for chunk in (*chunks(printed, dice), b""):
        lines = splitter.feed(stream.feed(chunk)) if chunk else [*splitter.feed(stream.finish()), *splitter.finish()]
        for line in lines:
            assert len(line) <= LINE_BYTES_MAX + 100
            heard = dialogue.hear(line)
            for fact in heard.facts:
                seen.absorb(fact)
                shown_as_it_should_be(fact)
        before = not_less_than(before, seen.so_far(1.0))
        dialogue.say("And then?", "m")
    code = dice.choice((0, 1, 41, 53, 130, 143, None))
    verdict = vendor.verdict(run, seen, ending(code, stderr=dice.choice((b"", b"panicked", b"429 Too Many Requests"))))
    assert verdict.ok == (verdict.error_class is None)
    not_less_than(Usage(), verdict.usage)
    assert msgspec.json.decode(msgspec.json.encode(verdict), type=Verdict) == verdict
    return verdict


def shown_as_it_should_be(fact: AnyFact) -> None:
    line = line_of(fact)
    if line is not None:
        msgspec.json.encode(line)
        assert "a-secret-of-this-test" not in line.text


def not_less_than(before: Usage, now: Usage) -> Usage:
    """`now`, proven to be within the contract's bounds and to hold all of `before`."""
    msgspec.json.decode(msgspec.json.encode(now), type=Usage)
    for name in ("turns", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert getattr(before, name) <= getattr(now, name) <= COUNT_MAX, name
    assert now.cost_usd is None or (before.cost_usd or 0.0) <= now.cost_usd <= USD_MAX
    return now


def damaged(printed: bytes, other: bytes, dice: random.Random) -> bytes:
    """The recording with one to eight things done to it."""
    lines = printed.split(b"\n")
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(lines))
        match dice.randrange(9):
            case 0:  # pieces lost, added and changed
                line = bytearray(lines[at])
                where = dice.randrange(len(line) + 1)
                line[where : where + dice.randrange(30)] = dice.randbytes(dice.randrange(10))
                lines[at] = bytes(line)
            case 1:
                lines[at] = lines[at][: dice.randrange(len(lines[at]) + 1)]
            case 2:
                lines.insert(at, dice.choice(lines))
            case 3:
                lines.insert(at, dice.choice(NOISE))
            case 4:
                del lines[at]
                lines = lines or [b""]
            case 5:
                lines[at] = _with_another_value(lines[at], dice)
            case 6:
                lines.insert(at, dice.choice(other.split(b"\n")))
            case 7:  # two programs write at once
                lines[at] += lines[dice.randrange(len(lines))]
            case _:
                del lines[at + 1 :]
    return b"\n".join(lines)


def _with_another_value(line: bytes, dice: random.Random) -> bytes:
    """The line with something hostile behind one of its colons."""
    places = [at for at, byte in enumerate(line) if byte == ord(":")]
    if not places:
        return dice.choice(HOSTILE)
    begins = dice.choice(places) + 1
    ends = min((found for mark in b",}]" if (found := line.find(mark, begins)) >= 0), default=len(line))
    return line[:begins] + dice.choice(HOSTILE) + line[ends:]


@pytest.mark.timeout(900 + TRANSCRIPTS / 20)
def test_damaged_transcripts_of_every_vendor_break_nothing_and_lose_nothing() -> None:
    dice = random.Random(int(os.environ.get("PENSTOCK_TEST_SEED", "11")))
    printed = {name: [path.read_bytes() for path in kind.recordings] for name, kind in KINDS.items()}
    everything = [recording for of_one in printed.values() for recording in of_one]
    vendors = {name: kind.vendor() for name, kind in KINDS.items()}
    for name, vendor in vendors.items():  # what is loaded once is no growth
        for recording in printed[name]:
            read(vendor, recording, dice)
    before = most = resident_bytes()
    failures: dict[str, bytes] = {}
    for number in range(TRANSCRIPTS):
        name = dice.choice(tuple(KINDS))
        transcript = damaged(dice.choice(printed[name]), dice.choice(everything), dice)
        try:
            read(vendors[name], transcript, dice)
        except Exception as error:  # whatever it is, the transcript that did it is worth keeping
            failures[f"{number} {name}: {error!r}"] = transcript[:2_000]
            if len(failures) == 5:
                break
        most = max(most, resident_bytes())
    assert failures == {}
    print(f"{TRANSCRIPTS} transcripts, memory grew by {(most - before) / 1e6:.1f} MB")
    assert most - before <= GROWTH_BYTES_MAX


@pytest.mark.parametrize("name", KINDS)
def test_lines_that_say_nothing_change_nothing_of_what_was_used(name: str) -> None:
    dice = random.Random(5)
    vendor = KINDS[name].vendor()
    for path in KINDS[name].recordings:
        lines = path.read_bytes().splitlines()
        noisy = list(lines)
        for _ in range(12):
            noisy.insert(dice.randrange(len(noisy) + 1), dice.choice(NOISE))
        expected = read(vendor, b"\n".join(lines), random.Random(1))
        found = read(vendor, b"\n".join(noisy), random.Random(1))
        assert found.usage == expected.usage, path.name


def test_a_gigabyte_s_worth_of_output_takes_no_more_memory_than_a_little() -> None:
    """An eighth of it here: lines of ten megabytes, with what is no text in between."""
    dice = random.Random(9)
    vendor = KINDS["claude"].vendor()
    text = json.dumps(
        {"type": "assistant", "message": {"id": "m", "content": [{"type": "text", "text": "x" * 10_000_000}]}}
    )
    lines = text.encode() + b"\n"
    before = most = resident_bytes()
    stream, splitter, transcript = REDACTOR.stream(), LineSplitter(), Transcript()
    dialogue = vendor.dialogue(agent_run())
    blob = dice.randbytes(32_768).replace(b"\n", b" ")
    fed = 0
    for round_ in range(1 << 12):
        chunk = blob if round_ % 2 else lines[round_ * 32_768 % len(lines) :][:32_768]
        fed += len(chunk)
        said = stream.feed(chunk)
        transcript.take("stdout", said)
        for line in splitter.feed(said):
            dialogue.hear(line)
            most = max(most, resident_bytes())
        most = max(most, resident_bytes())
    for line in (*splitter.feed(stream.finish()), *splitter.finish()):
        dialogue.hear(line)
    assert fed > 120_000_000
    assert len(transcript.content()) <= HEAD_BYTES_MAX + TAIL_BYTES_MAX + 1024
    print(f"{fed} bytes, memory grew by {(most - before) / 1e6:.1f} MB")
    assert most - before <= GROWTH_BYTES_MAX


def resident_bytes() -> int:
    """Of memory, that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
