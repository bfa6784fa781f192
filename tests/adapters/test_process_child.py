"""Given a child, however bad: it is fed, read, watched and ended, and nothing of it is left."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from patience import WAIT_SECONDS_MAX
from process_watch import alive_with, seconds_until

from penstock_agent_exec.child import ChildNotStarted
from penstock_agent_exec.output import LineSplitter
from penstock_agent_exec.process import DRAIN_SECONDS_MAX, ChildInput, Ending, Sink, StopStep, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(not probe().ok, reason=probe().message)]

HERE = Path(__file__).parent
PROFILE = Profile(cwd="/")
SOON = (StopStep(signal.SIGTERM, 0.5),)
GRACE_SECONDS = 120.0
OBEYED = (StopStep(signal.SIGTERM, GRACE_SECONDS),)
"""For a child that does as it is told: whoever waited for its grace all the same would be seen, on a slow machine too."""


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": request.param}


async def nobody(_chunk: bytes) -> None:
    """A sink that forgets."""


async def shell(
    script: str,
    *,
    profile: Profile = PROFILE,
    watch: Watch | None = None,
    stdin: bytes | ChildInput = b"",
    cancel: asyncio.Event | None = None,
    finished: asyncio.Event | None = None,
    on_stdout: Sink = nobody,
) -> Ending:
    return await run_child(
        ["sh", "-c", script],
        profile,
        watch=watch or Watch(wall_seconds=WAIT_SECONDS_MAX),
        on_stdout=on_stdout,
        on_stderr=nobody,
        stdin=stdin,
        cancel=cancel,
        finished=finished,
    )


async def test_a_child_that_ends_by_itself_says_how() -> None:
    ending = await shell("echo out; echo err >&2; exit 7")
    assert (ending.why, ending.exit_code, ending.nothing_left) == ("exited", 7, True)
    assert (ending.stdout_bytes, ending.stderr_bytes, ending.stderr_tail) == (4, 4, b"err\n")


async def test_a_child_killed_by_a_signal_inside_ends_with_128_and_its_number() -> None:
    assert (await shell("kill -9 $$")).exit_code == 137


async def test_input_larger_than_a_pipe_arrives_whole() -> None:
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    await shell("wc -c", stdin=b"z" * 3_000_000, on_stdout=keep)
    assert b"".join(printed).strip() == b"3000000"


async def test_a_child_that_never_reads_its_input_is_in_its_right() -> None:
    ending = await shell("exit 0", stdin=b"z" * 3_000_000)
    assert ending.exit_code == 0


async def test_input_stays_open_until_it_is_closed() -> None:
    child_input = ChildInput()
    splitter = LineSplitter()
    heard: list[bytes] = []

    async def answer(chunk: bytes) -> None:
        for line in splitter.feed(chunk):
            heard.append(line)
            await (child_input.send(b"two\n") if line == b"heard one" else child_input.close())

    await child_input.send(b"one\n")
    ending = await shell("while read line; do echo heard $line; done", stdin=child_input, on_stdout=answer)
    assert heard == [b"heard one", b"heard two"]
    assert ending.exit_code == 0


async def test_the_wall_clock_ends_a_child_that_goes_on() -> None:
    watch = Watch(wall_seconds=0.5, stop=OBEYED)
    ending = await shell("while :; do echo still here; sleep 0.05; done", watch=watch)
    assert ending.why == "wall_limit"
    assert 0.5 <= ending.wall_seconds < GRACE_SECONDS


async def test_silence_ends_a_child_and_every_byte_puts_it_off() -> None:
    watch = Watch(wall_seconds=600, silence_seconds=3, stop=SOON)
    ending = await shell("for i in 1 2 3 4 5; do echo $i; sleep 0.9; done; sleep 600", watch=watch)
    assert ending.why == "silence_limit"
    assert ending.stdout_bytes == 10
    assert ending.wall_seconds >= 4 * 0.9 + 3


async def test_time_in_which_we_do_not_read_is_not_the_childs_silence() -> None:
    mark = uuid.uuid4().hex

    async def slow(_chunk: bytes) -> None:
        await seconds_until(lambda: not alive_with(mark))

    watch = Watch(wall_seconds=600, silence_seconds=3)
    ending = await shell(f"echo one; sleep 4; true {mark}", watch=watch, on_stdout=slow)
    assert ending.why == "exited"
    assert ending.wall_seconds >= 4


async def test_a_child_is_held_back_while_its_reader_is_busy() -> None:
    free = asyncio.Event()

    async def blocked(_chunk: bytes) -> None:
        await free.wait()

    run = asyncio.create_task(shell("yes | head -c 50000000", on_stdout=blocked))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(run), 0.5)
    free.set()
    assert (await run).stdout_bytes == 50_000_000


async def test_a_child_that_never_pauses_leaves_everybody_else_their_turn_after_every_read() -> None:
    turns = 0
    seen_at: list[int] = []
    cancel = asyncio.Event()

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def take(_chunk: bytes) -> None:
        seen_at.append(turns)
        if len(seen_at) == 50:
            cancel.set()

    running = asyncio.create_task(others())
    await shell("exec yes", on_stdout=take, cancel=cancel, watch=Watch(wall_seconds=600, stop=()))
    running.cancel()
    assert len(seen_at) >= 50
    assert len(set(seen_at)) == len(seen_at)


async def test_too_much_output_ends_a_child() -> None:
    ending = await shell("yes", watch=Watch(wall_seconds=600, output_bytes_max=1_000_000, stop=()))
    assert ending.why == "output_limit"
    assert ending.exit_code in (None, 137)


async def test_cancel_reaches_the_command_itself_and_lets_it_say_its_last_word() -> None:
    cancel, printed = asyncio.Event(), bytearray()

    async def keep(chunk: bytes) -> None:
        printed.extend(chunk)
        cancel.set()

    script = "trap 'echo last word; exit 5' INT; echo ready; while :; do sleep 0.02; done"
    watch = Watch(wall_seconds=600, stop=(StopStep(signal.SIGINT, GRACE_SECONDS),))
    ending = await shell(script, watch=watch, cancel=cancel, on_stdout=keep)
    assert (ending.why, ending.exit_code) == ("cancelled", 5)
    assert bytes(printed) == b"ready\nlast word\n"


async def test_a_child_cancelled_at_once_is_gone_at_once() -> None:
    cancel = asyncio.Event()
    cancel.set()
    ending = await shell("exec sleep 600", cancel=cancel, watch=Watch(wall_seconds=600, stop=OBEYED))
    assert (ending.why, ending.nothing_left) == ("cancelled", True)
    assert ending.wall_seconds < GRACE_SECONDS


async def test_a_child_that_said_its_last_word_may_not_linger() -> None:
    finished = asyncio.Event()

    async def heard(_chunk: bytes) -> None:
        finished.set()

    watch = Watch(wall_seconds=600, linger_seconds=0.3, stop=OBEYED)
    ending = await shell("echo result; exec sleep 600", watch=watch, finished=finished, on_stdout=heard)
    assert ending.why == "lingered"
    assert ending.wall_seconds < GRACE_SECONDS


async def test_output_before_the_end_is_all_read() -> None:
    ending = await shell("head -c 20000000 /dev/zero")
    assert ending.stdout_bytes == 20_000_000


def nasty_command(mark: str) -> tuple[list[str], Profile]:
    tree = HERE / "nasty_tree.py"
    profile = Profile(cwd="/", binds=(*python_binds(), Bind(tree)))
    return [str(python_program()), str(tree), mark], profile


async def test_nothing_of_a_nasty_tree_survives_its_cancellation() -> None:
    mark, cancel = uuid.uuid4().hex, asyncio.Event()

    async def up(_chunk: bytes) -> None:
        assert len(alive_with(mark)) >= 5
        cancel.set()

    command, profile = nasty_command(mark)
    watch = Watch(wall_seconds=600, stop=SOON)
    ending = await run_child(command, profile, watch=watch, on_stdout=up, on_stderr=nobody, cancel=cancel)
    assert alive_with(mark) == []
    assert (ending.why, ending.nothing_left) == ("cancelled", True)


async def test_nothing_of_a_nasty_tree_survives_when_its_reader_breaks() -> None:
    mark = uuid.uuid4().hex

    async def broken(_chunk: bytes) -> None:
        raise OSError("no space left")

    command, profile = nasty_command(mark)
    with pytest.raises(OSError, match="no space left"):
        await run_child(command, profile, watch=Watch(wall_seconds=600), on_stdout=broken, on_stderr=nobody)
    assert alive_with(mark) == []


async def test_nothing_of_a_nasty_tree_survives_when_the_task_that_runs_it_is_cancelled() -> None:
    mark, up = uuid.uuid4().hex, asyncio.Event()

    async def heard(_chunk: bytes) -> None:
        up.set()

    command, profile = nasty_command(mark)
    watch = Watch(wall_seconds=600)
    run = asyncio.create_task(run_child(command, profile, watch=watch, on_stdout=heard, on_stderr=nobody))
    await up.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert alive_with(mark) == []


async def test_nothing_of_a_nasty_tree_survives_the_death_of_the_executor() -> None:
    mark = uuid.uuid4().hex
    executor = subprocess.Popen([sys.executable, str(HERE / "lonely_executor.py"), mark], stdout=subprocess.PIPE)
    assert executor.stdout is not None
    try:
        assert executor.stdout.readline() == b"READY\n"
        assert len(alive_with(mark)) >= 6
    finally:
        executor.send_signal(signal.SIGKILL)
        executor.wait()
        executor.stdout.close()
    await seconds_until(lambda: not alive_with(mark))  # how soon, test_process_volume says


async def test_without_a_sandbox_a_grandchild_that_holds_stdout_does_not_hold_us() -> None:
    mark = uuid.uuid4().hex
    profile = Profile(cwd="/", unsandboxed=True)
    holder = f"import time; '{mark}'; time.sleep(600)"
    script = f'setsid {sys.executable} -c "{holder}" & exit 0'
    started = time.monotonic()
    try:
        ending = await shell(script, profile=profile, watch=Watch(wall_seconds=600, drain_seconds=0.3))
        assert (ending.why, ending.exit_code) == ("exited", 0)
        # Not even as long as somebody who goes on printing would be listened to.
        assert time.monotonic() - started < DRAIN_SECONDS_MAX
    finally:
        for pid in alive_with(mark):
            os.kill(pid, signal.SIGKILL)


async def test_without_a_sandbox_the_process_group_ends_with_the_command() -> None:
    mark = uuid.uuid4().hex
    script = f"sh -c 'sleep 600; true {mark}' & echo up; wait"
    cancel = asyncio.Event()

    async def up(_chunk: bytes) -> None:
        cancel.set()

    profile = Profile(cwd="/", unsandboxed=True)
    ending = await shell(script, profile=profile, cancel=cancel, on_stdout=up, watch=Watch(wall_seconds=600, stop=()))
    assert ending.why == "cancelled"
    await seconds_until(lambda: not alive_with(mark))


async def test_a_line_of_ten_megabytes_comes_through_whole() -> None:
    splitter, lines = LineSplitter(), []

    async def keep(chunk: bytes) -> None:
        lines.extend(splitter.feed(chunk))

    await shell("head -c 10485760 /dev/zero | tr '\\0' x; echo; echo next", on_stdout=keep)
    assert [len(line) for line in lines] == [10 * 1024 * 1024, 4]


async def test_bytes_that_are_no_text_come_through_as_they_are() -> None:
    printed = bytearray()

    async def keep(chunk: bytes) -> None:
        printed.extend(chunk)

    await shell("printf '\\377\\376\\000ok\\n'", on_stdout=keep)
    assert bytes(printed) == b"\xff\xfe\x00ok\n"


def test_a_hundred_megabytes_of_output_cost_no_memory() -> None:
    ran = subprocess.run([sys.executable, str(HERE / "reads_much.py")], capture_output=True, text=True, check=True)
    lines, grown_bytes = map(int, ran.stdout.split())
    assert lines > 150_000
    assert grown_bytes <= 20 * 1024 * 1024


async def test_a_sandbox_that_cannot_be_made_is_not_the_commands_failure() -> None:
    with pytest.raises(ChildNotStarted, match="/no/such/place"):
        await shell("true", profile=Profile(cwd="/", binds=(Bind(Path("/no/such/place")),)))
    with pytest.raises(ChildNotStarted, match="no-such-bwrap"):
        await shell("true", profile=Profile(cwd="/", bwrap=Path("/no-such-bwrap")))


async def test_a_command_that_is_not_there_ends_as_a_shell_would_say_it() -> None:
    ending = await run_child(
        ["no-such-command"], PROFILE, watch=Watch(wall_seconds=600), on_stdout=nobody, on_stderr=nobody
    )
    assert ending.exit_code == 127
    assert b"no-such-command" in ending.stderr_tail


async def test_a_hundred_children_leave_no_descriptor_behind() -> None:
    await shell("true")
    gc.collect()  # what other tests have left open is none of these children's
    before = len(list(Path("/proc/self/fd").iterdir()))
    await asyncio.gather(*(shell("echo x; cat", stdin=b"y") for _ in range(20)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_nothing_of_ours_is_open_inside() -> None:
    printed = bytearray()

    async def keep(chunk: bytes) -> None:
        printed.extend(chunk)

    await shell("ls /proc/$$/fd", on_stdout=keep)
    assert set(bytes(printed).split()) <= {b"0", b"1", b"2", b"10"}
