"""Given a host's file of mounts and caches, repos see what it names for them, and a bad entry is refused by its name."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from penstock.settings import BadSettings
from penstock_agent_exec.mounts import NO_MOUNTS, Mounts, read_mounts
from penstock_agent_exec.process import Watch, run_child
from penstock_agent_exec.sandbox import Profile
from penstock_agent_exec.sandbox_probe import probe

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class House:
    """A host's folders, and a file of mounts that is still to be written."""

    root: Path

    @property
    def mounts_file(self) -> str:
        return str(self.root / "mounts.toml")

    @property
    def data_dir(self) -> str:
        return str(self.root / "data")

    def read(self, text: str) -> Mounts:
        Path(self.mounts_file).write_text(text)
        return read_mounts(self, [self.root / "secrets" / "token"])


@pytest.fixture
def house(tmp_path: Path) -> House:
    for name in ("data/mirrors", "secrets", "tools"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "tools" / "note").write_text("of the host\n")
    return House(tmp_path)


@pytest.mark.skipif(not probe().ok, reason=probe().message)
async def test_a_repo_sees_its_mounts_and_keeps_its_caches_and_another_does_not(house: House) -> None:
    mounts = house.read(f"""
        [[mount]]
        path = "{house.root}/tools"
        inside = "/opt/tools"
        repos = ["shop"]
        [[cache]]
        name = "pip"
        variables = ["PIP_CACHE_DIR"]
        repos = ["shop", "bank"]
    """)
    script = (
        "cat /opt/tools/note; echo x > /opt/tools/y; echo $PIP_CACHE_DIR; ls /cache/pip; echo kept > /cache/pip/$REPO"
    )

    async def inside(repo: str) -> str:
        printed: list[bytes] = []

        async def keep(chunk: bytes) -> None:
            printed.append(chunk)

        extras = mounts.extras(repo, Path(house.data_dir) / "caches")
        profile = Profile(cwd="/", binds=extras.binds, env=dict(extras.env) | {"REPO": repo})
        await run_child(["sh", "-c", script], profile, watch=Watch(wall_seconds=600), on_stdout=keep, on_stderr=keep)
        return b"".join(printed).decode()

    first, again, other = await inside("shop"), await inside("shop"), await inside("bank")
    assert "of the host\n" in first
    assert "Read-only file system" in first
    assert "/cache/pip\n" in first
    assert "shop" not in first
    assert "shop\n" in again  # kept from run to run
    assert "of the host" not in other
    assert "shop" not in other  # one repo's cache is nobody else's
    assert mounts.extras("third", house.root / "none").binds == ()


def test_without_a_file_there_is_nothing_more(house: House) -> None:
    @dataclass(frozen=True)
    class Without(House):
        @property
        def mounts_file(self) -> str:
            return ""

    assert read_mounts(Without(house.root), ()) is NO_MOUNTS


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('[[mount]]\npath = "relative"', "mount 1 ('relative'): is no absolute path"),
        ('[[mount]]\npath = "/opt/../etc"', "is no absolute path"),
        ('[[mount]]\npath = "/no/such/place"', "cannot be used: No such file"),
        ('[[mount]]\npath = "ROOT/data"', "which agents must not see"),
        ('[[mount]]\npath = "ROOT/data/mirrors"', "would show ROOT/data"),
        ('[[mount]]\npath = "ROOT"', "which agents must not see"),
        ('[[mount]]\npath = "/"', "which agents must not see"),
        ('[[mount]]\npath = "ROOT/secrets"', "would show ROOT/secrets/token"),
        ('[[mount]]\npath = "HOME"', "which agents must not see"),
        ('[[mount]]\npath = "/etc/ssl"\ninside = "/opt/ssl"', "/etc: not shown to agents"),
        ('[[mount]]\npath = "/proc"', "/proc: not shown to agents"),
        ('[[mount]]\npath = "/dev/null"', "sockets and devices are not shown"),
        ('[[mount]]\npath = "ROOT/link"', "would show ROOT/data"),
        ('[[mount]]\npath = "ROOT/listening"', "holds a socket, ROOT/listening/here"),
        ('[[mount]]\npath = "ROOT/listening/here"', "sockets and devices are not shown"),
        ('[[mount]]\npath = "ROOT/tools"\ninside = "/usr/lib/x"', "cannot be seen at '/usr/lib/x'"),
        ('[[mount]]\npath = "ROOT/tools"\ninside = "/"', "no absolute path"),
        ('[[mount]]\npath = "ROOT/tools"\ninside = "/cache/x"', "something else is there"),
        (
            '[[mount]]\npath = "ROOT/tools"\n[[mount]]\npath = "ROOT/tools"',
            "mount 2 ('ROOT/tools'): is seen where mount 1",
        ),
        ('[[mount]]\npath = "ROOT/tools"\nwritable = true', "unknown field `writable`"),
        ('[[mount]]\nrepos = ["shop"]', "missing required field `path`"),
        ('[[mount]]\npath = "ROOT/tools"\nrepos = ["Not A Name"]', "$.mount[0].repos[0]"),
        ('[[cache]]\nname = "../up"', "$.cache[0].name"),
        ('[[cache]]\nname = "pip"\n[[cache]]\nname = "pip"', "cache 2 ('pip'): another cache has this name"),
        ('[[cache]]\nname = "pip"\nvariables = ["LD_PRELOAD"]', "cache 1 ('pip'): LD_PRELOAD is not for caches to set"),
        ('[[cache]]\nname = "pip"\nvariables = ["pip cache"]', "$.cache[0].variables[0]"),
        ("[[mount]\n", "PENSTOCK_MOUNTS_FILE"),
    ],
)
def test_a_bad_entry_is_refused_by_its_name(entry: str, says: str, house: House) -> None:
    (house.root / "link").symlink_to(house.root / "data")
    (house.root / "listening").mkdir()
    # A socket's path must be short, the tests' folder may be long.
    with socket.socket(socket.AF_UNIX) as server:
        here = os.open(house.root / "listening", os.O_RDONLY)
        server.bind(f"/proc/self/fd/{here}/here")
        os.close(here)
        filled = entry.replace("ROOT", str(house.root)).replace("HOME", str(Path.home()))
        with pytest.raises(BadSettings) as refused:
            house.read(filled)
    assert says.replace("ROOT", str(house.root)) in str(refused.value)
    assert house.mounts_file in str(refused.value)


def test_a_file_that_is_not_there_is_said_so(house: House) -> None:
    with pytest.raises(BadSettings, match=r"mounts\.toml: No such file"):
        read_mounts(house, ())


def test_keys_of_every_home_are_kept_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    home = house.root / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / "sdk").mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(BadSettings, match=r"would show .*/\.ssh"):
        house.read(f'[[mount]]\npath = "{home}/.ssh"')
    assert len(house.read(f'[[mount]]\npath = "{home}/sdk"').mount) == 1
