"""Where a model's API is, as an operator writes it, and what of that goes with every request."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.settings import BadSettings, Secret
from penstock_agent_exec.broker.dialect import Dialect, headers_out, with_query
from penstock_agent_exec.known_secrets import known_secrets
from penstock_agent_exec.settings import load
from penstock_agent_exec.upstream import Upstream, read_upstream

AZURE = "https://res.openai.azure.com/openai/?api-version=2025-04-01-preview"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("https://api.example.org", Upstream("https://api.example.org")),
        ("http://127.0.0.1:11434/v1/", Upstream("http://127.0.0.1:11434/v1")),
        ("https://[::1]:8443/a/b", Upstream("https://[::1]:8443/a/b")),
        (AZURE, Upstream("https://res.openai.azure.com/openai", (("api-version", "2025-04-01-preview"),))),
    ],
)
def test_an_address_is_its_base_and_what_goes_with_every_request(url: str, found: Upstream) -> None:
    assert read_upstream(url) == found


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "no address of an API"),
        ("api.example.org/v1", "no address of an API"),
        ("ftp://api.example.org", "no address of an API"),
        ("https://", "no address of an API"),
        ("https://host:port", "is no address"),
        ("https://me@example.org", "a name or password does not belong"),
        ("https://example.org/#here", "which is never sent"),
        ("https://example.org/?Key=x", "'Key' is a secret in an address"),
    ],
)
def test_what_is_no_address_is_refused_with_what_would_be_right(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_upstream(url)


@pytest.mark.parametrize("name", ["ANTHROPIC", "OPENAI", "GEMINI", "QWEN"])
def test_a_wrong_address_is_refused_by_its_setting(tmp_path: Path, name: str) -> None:
    environ = {"PENSTOCK_HOST": "h1", "PENSTOCK_DATA_DIR": str(tmp_path), f"PENSTOCK_{name}_BASE_URL": "example.org"}
    with pytest.raises(BadSettings, match=f"^PENSTOCK_{name}_BASE_URL: "):
        load(environ)


def test_the_upstreams_own_parameters_win_over_what_an_agent_says() -> None:
    own = (("api-version", "7"),)
    assert with_query("/responses", ()) == "/responses"
    assert with_query("/responses", own) == "/responses?api-version=7"
    assert with_query("/responses?api-version=1&alt=sse", own) == "/responses?alt=sse&api-version=7"


@pytest.mark.parametrize(
    ("own_header", "login", "expected"),
    [
        ("", False, (b"x-api-key", b"k")),
        ("", True, (b"authorization", b"Bearer k")),
        ("Api-Key", False, (b"api-key", b"k")),
        ("Authorization", False, (b"authorization", b"Bearer k")),
        ("api-key", True, (b"authorization", b"Bearer k")),
    ],
)
def test_a_key_goes_where_the_operator_says_and_a_login_where_the_vendor_has_it(
    own_header: str, login: bool, expected: tuple[bytes, bytes]
) -> None:
    given = [(b"x-api-key", b"of the agent"), (b"api-key", b"of the agent"), (b"authorization", b"of the agent")]
    sent = headers_out(Dialect.ANTHROPIC, given, Secret("k"), login=login, own_header=own_header)
    assert sent == [(b"accept-encoding", b"identity"), expected]


def test_the_key_of_an_agent_that_a_file_describes_is_a_secret_like_every_other(tmp_path: Path) -> None:
    key, file = tmp_path / "key", tmp_path / "agents.toml"
    key.write_text("sk-the-key-of-a-described-agent\n")
    file.write_text(
        f'[agents.a]\nprogram = "a"\n[agents.a.model]\ndialect = "chat"\nbase_url = "https://x.org"\nkey_file = "{key}"\n'
    )
    environ = {"PENSTOCK_HOST": "h1", "PENSTOCK_DATA_DIR": str(tmp_path), "PENSTOCK_AGENTS_FILE": str(file)}
    shown = known_secrets(load(environ)).redactor().text("it said sk-the-key-of-a-described-agent here")
    assert "described-agent" not in shown
