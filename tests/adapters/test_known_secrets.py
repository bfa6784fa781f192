"""Given what this process was told, it knows what must not be shown, and goes on knowing it when a file is changed."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from penstock.settings import BadSettings, Secret
from penstock_agent_exec.known_secrets import SECRETS_BYTES_MAX, Hiding, KnownSecrets, known_secrets, secret_files
from penstock_agent_exec.mounts import read_mounts
from penstock_agent_exec.settings import Settings


def settings(**given: object) -> Settings:
    return Settings(host="h1", data_dir="/nowhere", **given)  # type: ignore[arg-type]  # any field of it


def test_every_secret_of_the_settings_is_known_and_so_are_passwords_in_addresses() -> None:
    redactor = known_secrets(
        settings(
            nats_password=Secret("the-broker's-word"),
            gemini_api_key=Secret("gemini-key-123456"),
            nats_url="nats://exec:a%20broker-password@broker.example:4222",
        )
    ).redactor()
    said = "the-broker's-word and gemini-key-123456, a broker-password or a%20broker-password, h1"
    assert redactor.text(said) == "[secret] and [secret], [secret] or [secret], h1"
    assert {span.name for span in redactor.find_known(said.encode())} == {"nats_password", "gemini_api_key", "nats_url"}


def test_every_setting_of_type_secret_is_one() -> None:
    names = [name for name, kind in Settings.__annotations__.items() if "Secret" in str(kind)]
    assert len(names) >= 5
    for name in names:
        redactor = known_secrets(settings(**{name: Secret(f"the value of {name}")})).redactor()
        assert redactor.text(f"<the value of {name}>") == "<[secret]>"


def test_a_token_that_is_renewed_is_known_and_the_old_one_still_is(tmp_path: Path) -> None:
    file = tmp_path / "token"
    known = known_secrets(settings(git_token_file=str(file)))
    first = known.redactor()
    assert first.text("old-forge-token") == "old-forge-token"
    file.write_text("old-forge-token\n")
    second = known.redactor()
    assert second.text("old-forge-token") == "[secret]"
    assert known.redactor() is second
    file.write_text("new-forge-token\n")
    os.utime(file, ns=(1, 1))
    assert known.redactor().text("old-forge-token, new-forge-token") == "[secret], [secret]"


def test_the_files_that_the_file_of_forges_names_are_known_and_what_is_around_a_key_is_no_secret(
    tmp_path: Path,
) -> None:
    (tmp_path / "token").write_text("glpat-of-the-team\n")
    (tmp_path / "app.pem").write_text(
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----\n"
    )
    (tmp_path / "forges.toml").write_text(
        f'[forges."gitlab.com"]\nprovider = "gitlab"\ntoken_file = "{tmp_path}/token"\n'
        f'[forges."github.com"]\nprovider = "github"\napp_id = "7"\nprivate_key_file = "{tmp_path}/app.pem"\n'
    )
    known = known_secrets(settings(forges_file=str(tmp_path / "forges.toml"))).redactor()
    said = "glpat-of-the-team MIIEpAIBAAKCAQEA7 -----BEGIN RSA PRIVATE KEY-----"
    assert {span.name.split(" ")[0] for span in known.find_known(said.encode())} == {"token_file", "private_key_file"}
    assert list(known.find_known(b"-----BEGIN RSA PRIVATE KEY-----")) == []
    (tmp_path / "forges.toml").write_text("nothing of the kind")
    with pytest.raises(BadSettings, match="PENSTOCK_FORGES_FILE"):
        known_secrets(settings(forges_file=str(tmp_path / "forges.toml")))


@pytest.mark.parametrize("held", ["forges_file", "git_read_token_file", "secrets_file"])
def test_no_file_of_secrets_that_the_settings_name_can_be_shown_to_agents(held: str, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "secret").write_text("glpat-of-the-team\n")
    (tmp_path / "forges.toml").write_text(
        f'[forges."gitlab.com"]\nprovider = "gitlab"\ntoken_file = "{tmp_path}/kept/secret"\n'
    )
    (tmp_path / "mounts.toml").write_text(f'[[mount]]\npath = "{tmp_path}/kept"\ninside = "/opt/kept"\n')
    named = tmp_path / ("forges.toml" if held == "forges_file" else "kept/secret")
    given = settings(mounts_file=str(tmp_path / "mounts.toml"), **{held: str(named)})
    with pytest.raises(BadSettings, match=r"would show .*/kept/secret, which agents must not see"):
        read_mounts(given, secret_files(given).values())


def test_a_file_of_secrets_that_cannot_be_read_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="PENSTOCK_SECRETS_FILE"):
        known_secrets(settings(secrets_file=str(tmp_path / "none")))


def test_a_file_that_is_too_large_to_be_one_of_secrets_is_refused_at_the_start(tmp_path: Path) -> None:
    # Compiled into what is looked for, it would keep the start waiting for minutes, or break it.
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(SECRETS_BYTES_MAX + 1))
    with pytest.raises(BadSettings, match=f"secrets_file {file}: {SECRETS_BYTES_MAX + 1} bytes"):
        known_secrets(settings(secrets_file=str(file)))
    with pytest.raises(BadSettings, match="git_token_file"):
        known_secrets(settings(git_token_file=str(file)))


def test_what_this_process_prints_itself_has_no_secrets() -> None:
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    hiding = Hiding(printed, KnownSecrets({"key": "a-key-of-the-host"}, {}))
    print("the key is a-key-of-the-host é \ud800", file=hiding)
    try:
        raise ValueError("a-key-of-the-host was refused")
    except ValueError as error:
        hiding.write(f"{error!r}\n")
    hiding.flush()
    assert printed.buffer.getvalue().decode() == ("the key is [secret] é \\ud800\nValueError('[secret] was refused')\n")
