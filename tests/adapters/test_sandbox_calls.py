"""Given the filter of system calls, what is denied is denied on both processors, and what builds and agents need still runs."""

from __future__ import annotations

import errno
import json
import platform
import shutil
import struct
from pathlib import Path

import pytest
from agent_programs import agent_path
from hypothesis import given
from hypothesis import strategies as st

from penstock_agent_exec.process import Ending, Watch, run_child
from penstock_agent_exec.sandbox import Bind, Profile, python_binds, python_program
from penstock_agent_exec.sandbox_probe import probe
from penstock_agent_exec.seccomp import filter_for

ALLOWED = "allowed"
ARCHES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

pytestmark = pytest.mark.anyio
in_sandbox = pytest.mark.skipif(not probe().ok, reason=probe().message)


def answer(machine: str, number: int, *arguments: int, arch: int | None = None) -> str:
    """What the kernel would say to a call: `allowed`, or the name of an error."""
    program = filter_for(machine)
    assert program is not None
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    call = struct.pack("=IIQ6Q", number, ARCHES[machine] if arch is None else arch, 0, *padded)
    operations = list(struct.iter_unpack("=HBBI", program))
    at = loaded = 0
    for _ in range(len(operations)):  # a filter only goes forward
        code, if_true, if_false, value = operations[at]
        at += 1
        if code == 0x20:
            loaded = struct.unpack_from("=I", call, value)[0]
        elif code == 0x06:
            return ALLOWED if value == 0x7FFF0000 else errno.errorcode[value & 0xFFFF]
        else:
            holds = {0x15: loaded == value, 0x35: loaded >= value, 0x45: bool(loaded & value)}[code]
            at += if_true if holds else if_false
    raise AssertionError("the filter has no end")


@pytest.mark.parametrize(
    ("x86", "arm", "said"),
    [
        (165, 40, "EPERM"),  # mount
        (308, 268, "EPERM"),  # setns
        (321, 280, "EPERM"),  # bpf
        (323, 282, "EPERM"),  # userfaultfd
        (298, 241, "EPERM"),  # perf_event_open
        (250, 219, "EPERM"),  # keyctl
        (310, 270, "EPERM"),  # process_vm_readv
        (304, 265, "EPERM"),  # open_by_handle_at
        (246, 104, "EPERM"),  # kexec_load
        (313, 273, "EPERM"),  # finit_module
        (425, 425, "ENOSYS"),  # io_uring_setup
        (435, 435, "ENOSYS"),  # clone3
        (428, 428, "ENOSYS"),  # open_tree
        (0, 63, ALLOWED),  # read
        (59, 221, ALLOWED),  # execve
        (101, 117, ALLOWED),  # ptrace
        (317, 277, ALLOWED),  # seccomp
    ],
)
def test_a_call_is_answered_alike_on_both_processors(x86: int, arm: int, said: str) -> None:
    assert (answer("x86_64", x86), answer("aarch64", arm)) == (said, said)


@pytest.mark.parametrize(("machine", "clone", "unshare"), [("x86_64", 56, 272), ("aarch64", 220, 97)])
def test_threads_and_forks_are_made_and_namespaces_are_not(machine: str, clone: int, unshare: int) -> None:
    thread, fork, vfork = 0x3D0F00, 0x1200011, 0x4111
    assert {answer(machine, clone, flags) for flags in (thread, fork, vfork)} == {ALLOWED}
    for namespace in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(machine, clone, namespace | 17) == "EPERM"
        assert answer(machine, unshare, namespace) == "EPERM"
    assert answer(machine, unshare, 0x400) == ALLOWED  # a file table of its own


@pytest.mark.parametrize(("machine", "ioctl", "socket"), [("x86_64", 16, 41), ("aarch64", 29, 198)])
def test_no_input_is_faked_and_no_odd_socket_is_made(machine: str, ioctl: int, socket: int) -> None:
    assert answer(machine, ioctl, 0, 0x5401) == ALLOWED
    assert answer(machine, ioctl, 0, 0x5412) == "EPERM"
    assert answer(machine, ioctl, 0, 0xFF00005412) == "EPERM"  # the kernel looks at the lower half, so do we
    assert [answer(machine, socket, family) for family in (1, 2, 10)] == [ALLOWED] * 3
    assert {answer(machine, socket, family) for family in (0, 15, 17, 29, 31, 38, 40, 44)} == {"EAFNOSUPPORT"}
    assert answer(machine, socket, 16, 3, 0) == ALLOWED  # which addresses there are
    assert {answer(machine, socket, 16, 3, kind) for kind in (4, 9, 12, 15, 16)} == {"EAFNOSUPPORT"}


@given(number=st.integers(0, 2**32 - 1), arch=st.integers(0, 2**32 - 1))
def test_calls_of_another_processor_are_all_unknown(number: int, arch: int) -> None:
    if arch != ARCHES["x86_64"]:
        assert answer("x86_64", number, arch=arch) == "ENOSYS"
    assert answer("x86_64", 0x40000000 | number) == "ENOSYS"


def test_a_processor_that_is_not_known_has_no_filter() -> None:
    assert filter_for("riscv64") is None


async def inside(*command: str, profile: Profile) -> tuple[Ending, str]:
    printed: list[bytes] = []

    async def keep(chunk: bytes) -> None:
        printed.append(chunk)

    ending = await run_child(command, profile, watch=Watch(wall_seconds=600), on_stdout=keep, on_stderr=keep)
    return ending, b"".join(printed).decode(errors="replace")


ASK = """
import ctypes, errno, json, sys
libc = ctypes.CDLL(None, use_errno=True)
said = {}
for name, numbers in json.loads(sys.argv[1]).items():
    ctypes.set_errno(0)
    libc.syscall(*(ctypes.c_long(n) for n in numbers))
    said[name] = errno.errorcode.get(ctypes.get_errno(), "none")
print(json.dumps(said))
"""


@in_sandbox
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the numbers are those of x86-64")
async def test_the_kernel_says_so_too() -> None:
    calls = {
        "bpf": [321, 0, 0, 0],
        "keyctl": [250, 0, -3, 0],
        "io_uring": [425, 1, 0],
        "clone3": [435, 0, 0],
        "userns": [272, 0x10000000],
        "vsock": [41, 40, 1, 0],
        "uevents": [41, 16, 3, 15],
        "routes": [41, 16, 3, 0],
        "terminal": [16, 0, 0x5412, 0],
    }
    profile = Profile(cwd="/", binds=python_binds())
    _, printed = await inside(str(python_program()), "-I", "-S", "-c", ASK, json.dumps(calls), profile=profile)
    assert json.loads(printed) == {
        "bpf": "EPERM",
        "keyctl": "EPERM",
        "io_uring": "ENOSYS",
        "clone3": "ENOSYS",
        "userns": "EPERM",
        "vsock": "EAFNOSUPPORT",
        "uevents": "EAFNOSUPPORT",
        "routes": "none",
        "terminal": "EPERM",
    }


PROGRAMS = {
    "git": "git init -q . && git -c user.name=a -c user.email=b@c commit -q --allow-empty -m x && git gc -q && git log | head -1",
    "python3": "python3 -c 'import subprocess, threading, multiprocessing as m, asyncio; "
    'subprocess.run(["true"], check=True); t = threading.Thread(target=print); t.start(); t.join(); '
    'asyncio.run(asyncio.sleep(0)); p = m.Process(target=print); p.start(); p.join(); print("commit")\'',
    "node": 'node -e \'const o = require("os"); o.networkInterfaces(); new (require("worker_threads").Worker)("0", '
    '{eval: true}).on("exit", () => require("fs").readFile("/etc/hosts", () => require("child_process").exec("true", '
    '() => console.log("commit", o.cpus().length))))\'',
    "gcc": "printf 'int main(){return 0;}' > a.c && gcc -O1 a.c && ./a.out && echo commit",
    "go": "printf 'package main\\nfunc main(){c:=make(chan int);go func(){c<-1}();<-c;println(\"commit\")}' > a.go"
    " && go run a.go",
    "cargo": "cargo init -q --name a --vcs none a && cd a && cargo run -q --offline && echo commit",
}


def tool_binds(name: str) -> tuple[Bind, ...]:
    """Where a program lies that is not of the system, with what belongs to it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    places = {Path(found).parent, Path(found).resolve().parent.parent}
    if name == "cargo":
        places = {Path.home() / ".cargo/bin", Path.home() / ".rustup"}
    return tuple(Bind(place) for place in sorted(places) if place.is_dir() and not place.is_relative_to("/usr/bin"))


@in_sandbox
@pytest.mark.parametrize("name", PROGRAMS)
async def test_what_builds_need_still_runs(name: str, tmp_path: Path) -> None:
    binds = tool_binds(name)
    path = ":".join([*(str(bind.source) for bind in binds), "/usr/local/bin", "/usr/bin", "/bin"])
    env = {"HOME": "/work", "PATH": path, "GOFLAGS": "-mod=mod", "GO111MODULE": "off"}
    if name == "cargo":
        env["RUSTUP_HOME"] = str(Path.home() / ".rustup")
    profile = Profile(cwd="/work", env=env, binds=(*binds, Bind(tmp_path, "/work", writable=True)))
    ending, printed = await inside("sh", "-c", PROGRAMS[name], profile=profile)
    assert (ending.exit_code, "commit" in printed) == (0, True), printed


@in_sandbox
@pytest.mark.parametrize("name", ["claude", "codex", "gemini", "qwen"])
async def test_the_agents_programs_start(name: str, tmp_path: Path) -> None:
    if (found := agent_path(name)) is None:
        pytest.skip(f"{name} is not installed")
    modules = Path(found).parent.parent
    profile = Profile(
        cwd="/work",
        env={"HOME": "/work", "PATH": f"{Path(found).parent}:/usr/local/bin:/usr/bin:/bin"},
        binds=(Bind(modules), Bind(tmp_path, "/work", writable=True)),
    )
    ending, printed = await inside(found, "--version", profile=profile)
    assert (ending.exit_code, any(char.isdigit() for char in printed)) == (0, True), printed
