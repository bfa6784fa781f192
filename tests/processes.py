"""Services as real processes, for tests: started with the settings a deployment would give, killed as a kernel would."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from patience import WAIT_SECONDS_MAX
from ports import free_port
from servers import PASSWORD, NatsForTest

SECRET: Final = {
    f"PENSTOCK_{name}"
    for name in ("NATS_PASSWORD", "DATABASE_URL", "ANTHROPIC_API_KEY", "OPENAI_API_KEY", "CLAUDE_OAUTH_TOKEN")
}
"""Variables with a secret in them, as far as tests set them."""


class ServiceProcess:
    """`python -m <module>` with an environment of its own. `log` is what it has printed."""

    def __init__(self, module: str, user: str, nats: NatsForTest, folder: Path, **settings: str) -> None:
        self._module = module
        self._folder = folder
        self.admin_port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PENSTOCK_NATS_URL": nats.url,
            "PENSTOCK_NATS_USER": user,
            "PENSTOCK_NATS_PASSWORD": PASSWORD,
            "PENSTOCK_ADMIN_PORT": str(self.admin_port),
        } | {f"PENSTOCK_{name.upper()}": value for name, value in settings.items()}
        # Whom this host trusts is not the service's own business: a test's own forge has a certificate of its own.
        self._environ |= {name: os.environ[name] for name in ("SSL_CERT_FILE", "GIT_SSL_CAINFO") if name in os.environ}
        self._process: subprocess.Popen[bytes] | None = None

    def keep_secrets_in_files(self) -> None:
        """Name files instead of the values: a file is for its owner, an environment for whoever may look at the process."""
        for name in self._environ.keys() & SECRET:
            path = self._folder / f"{name.lower()}.secret"
            path.touch(mode=0o600)
            path.write_text(self._environ.pop(name) + "\n")
            self._environ[f"{name}_FILE"] = str(path)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        path = self._folder / f"{self._module}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        with (self._folder / f"{self._module}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module], env=self._environ, stdout=log, stderr=log, cwd=self._folder
            )

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send the signal and wait for the end; the exit code."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        return self._process.wait(timeout=WAIT_SECONDS_MAX)

    def send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self) -> None:
        """Make sure it is not running."""
        if self._process is not None:
            self.kill()

    def ended(self, timeout: float = WAIT_SECONDS_MAX) -> int:
        """Wait for it to end by itself; the exit code."""
        assert self._process is not None
        return self._process.wait(timeout=timeout)

    def readiness(self) -> tuple[bool, list[str]]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.admin_port}/readyz", timeout=2) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            found = json.load(error)
        except OSError as error:
            return False, [str(error)]
        return bool(found["ready"]), list(found["problems"])

    async def ready(self) -> None:
        """Wait until `/readyz` says so; raises with the log's end when it does not."""
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
        problems: list[str] = []
        while asyncio.get_running_loop().time() < deadline:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            ready, problems = await asyncio.to_thread(self.readiness)
            if ready:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{self._module} is not ready: {problems}\n{self.log[-3000:]}")
