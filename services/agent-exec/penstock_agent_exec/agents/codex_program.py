"""Where codex's own program lies on a host. The rule of this room: the program itself, never what starts it.

npm installs a launcher in JavaScript, and beside it a package with the executable for the platform. Under an older node the
launcher stays in between as a process of its own.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from penstock_agent_exec.agents.vendor import HostLacks
from penstock_agent_exec.sandbox import DEFAULT_PATH

VERSION_MIN: Final = (0, 169, 0)
START_SECONDS_MAX: Final = 30.0
INSTALL_EXACTLY: Final = "npm install -g @openai/codex@0.169.0"
INSTALL: Final = f"{INSTALL_EXACTLY} (or newer)"

_PLATFORMS: Final = {"x86_64": "x64", "aarch64": "arm64"}


def find_program(program: Path | None) -> tuple[Path, str]:
    """(The executable, its version) of `program`, or of `codex` on PATH. Raises HostLacks with what to install."""
    wanted = str(program) if program is not None else "codex"
    found = shutil.which(wanted)
    if found is None:
        raise HostLacks(f"Codex was not found as {wanted!r}: {INSTALL}, or name its program in the settings")
    native = _native(Path(found).resolve())
    printed = _version_line(native)
    match = re.match(r"codex-cli (\d+)\.(\d+)\.(\d+)\s", printed)
    if match is None:
        raise HostLacks(f"{native} --version says {printed[:100]!r}, which is not Codex: {INSTALL}")
    if tuple(map(int, match.groups())) < VERSION_MIN:
        needed = ".".join(map(str, VERSION_MIN))
        raise HostLacks(f"{native} is {printed.strip()}; {needed} or newer is needed: {INSTALL}")
    return native, ".".join(match.groups())


def _native(found: Path) -> Path:
    """The executable itself; next to the launcher, or in a package of the launcher's own."""
    if _is_executable(found):
        return found
    package = f"codex-linux-{_PLATFORMS.get(platform.machine(), platform.machine())}"
    launcher = found.parent.parent
    for folder in (launcher.parent / package, launcher / "node_modules" / "@openai" / package):
        for native in sorted(folder.glob("vendor/*/bin/codex")):
            if _is_executable(native):
                return native
    raise HostLacks(f"{found} is not Codex's native program, and there is none for this platform beside it: {INSTALL}")


def _is_executable(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError as error:
        raise HostLacks(f"{path} cannot be read: {error.strerror}") from error


def try_settings(native: Path, words: tuple[str, ...]) -> None:
    """Start it with these words and nothing to do. Raises HostLacks where it does not take them."""
    code, _, stderr = _run(native, words)
    if code != 0:
        said = next((line for line in stderr.splitlines() if line.lower().startswith("error")), stderr)
        raise HostLacks(f"{native} does not take what Penstock sets ({said[:200]}): {INSTALL_EXACTLY}")


def _version_line(program: Path) -> str:
    return _run(program, ("--version",))[1]


def _run(program: Path, words: tuple[str, ...]) -> tuple[int, str, str]:
    """(Exit code, what it printed, what it printed as errors) of a start in an empty home with an empty input."""
    with tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": DEFAULT_PATH}
        try:
            ended = subprocess.run(
                [str(program), *words],
                env=env,
                cwd=home,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=START_SECONDS_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise HostLacks(f"{program} {words[0]}: {error}") from error
    return ended.returncode, ended.stdout.decode(errors="replace"), ended.stderr.decode(errors="replace")
