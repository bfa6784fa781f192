"""Fifty secrets of all the usual kinds, made up anew from a seed, each in a line as somebody would have committed it.

Rule of this room: none of them is real, none stands here as it is, and nothing of the product is asked how one may look.
"""

from __future__ import annotations

import base64
import json
import random
import string
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

ALNUM: Final = string.ascii_letters + string.digits
URL: Final = ALNUM + "_-"
HEX: Final = "0123456789abcdef"


class Planted(NamedTuple):
    """`kind`; the file and the line that hold it; the secret itself."""

    kind: str
    file: str
    line: str
    secret: str


def secrets_of_all_kinds(seed: int = 7) -> tuple[Planted, ...]:
    """Fifty of them."""
    dice = random.Random(seed)

    def of(letters: str, count: int) -> str:
        return "".join(dice.choice(letters) for _ in range(count))

    return tuple(_all(of))


def _all(of: Callable[[str, int], str]) -> Iterator[Planted]:
    def one(kind: str, file: str, before: str, secret: str, after: str = "") -> Planted:
        return Planted(kind, file, f"{before}{secret}{after}", secret)

    yield one("anthropic", "a.py", 'KEY = "', "sk-" + "ant-api03-" + of(URL, 93) + "AA", '"')
    yield one("anthropic in a comment", "a.go", "// use ", "sk-" + "ant-api03-" + of(ALNUM, 60))
    yield one("anthropic login", "a.sh", "export T=", "sk-" + "ant-oat01-" + of(URL, 80))
    yield one("openai project", "b.ts", "const k = '", "sk-" + "proj-" + of(URL, 100), "'")
    yield one("openai classic", "b.rb", "key = '", "sk-" + of(ALNUM, 48), "'")
    yield one("openai service account", "b.json", '{"k": "', "sk-" + "svcacct-" + of(URL, 60), '"}')
    yield one("openrouter", "b.toml", 'k = "', "sk-" + "or-v1-" + of(HEX, 64), '"')
    yield one("groq", "c.py", "g = '", "gsk_" + of(ALNUM, 52), "'")
    yield one("hugging face", "c.cfg", "hf = ", "hf_" + of(string.ascii_letters, 34))
    yield one("aws key id", "d.tf", 'access_key = "', "AKIA" + of(string.ascii_uppercase + "234567", 16), '"')
    yield one("aws temporary key id", "d.yaml", "id: ", "ASIA" + of(string.ascii_uppercase + "234567", 16))
    yield one("aws secret", "d.ini", "aws_secret_access_key = ", of(ALNUM + "/+", 40))
    yield one("github classic", "e.py", "t = '", "ghp_" + of(ALNUM, 36), "'")
    yield one("github oauth", "e.md", "curl with ", "gho_" + of(ALNUM, 36))
    yield one("github app user", "e.js", "x('", "ghu_" + of(ALNUM, 36), "')")
    yield one("github app", "e.java", 's("', "ghs_" + of(ALNUM, 36), '");')
    yield one("github refresh", "e.c", 'f("', "ghr_" + of(ALNUM, 40), '");')
    yield one("github fine-grained", "e.yml", "t: ", "github_pat_" + of(ALNUM, 22) + "_" + of(ALNUM, 59))
    yield one("github in a remote", "e.txt", "https://x-access-token:", "ghs_" + of(ALNUM, 36), "@github.com/a/b.git")
    yield one("gitlab", "f.rs", 'let t = "', "glpat-" + of(URL, 20), '";')
    yield one("gitlab runner", "f.toml", 'r = "', "glrt-" + of(ALNUM, 20), '"')
    yield one("gitlab deploy", "f.sh", "T=", "gldt-" + of(ALNUM, 20))
    yield one("gitea", "g.yaml", "gitea_token: ", of(HEX, 40))
    yield one("forgejo", "g.env.txt", "FORGEJO_TOKEN=", of(HEX, 40))
    yield one("slack bot", "h.py", "s = '", "xoxb-" + of(string.digits, 12) + "-" + of(ALNUM, 24), "'")
    yield one("slack user", "h.js", "s = '", "xoxp-" + of(string.digits, 11) + "-" + of(ALNUM, 32), "'")
    yield one("slack app", "h.rb", "s = '", "xapp-1-" + of(ALNUM, 50), "'")
    hook = f"T{of(string.ascii_uppercase, 8)}/B{of(string.ascii_uppercase, 8)}/{of(ALNUM, 24)}"
    yield one("slack webhook", "h.yml", "url: https://hooks.slack.com/services/", hook)
    yield one("google api", "i.kt", 'val k = "', "AIza" + of(URL, 35), '"')
    yield one("google oauth", "i.cs", 'var k = "', "GOCSPX-" + of(URL, 28), '";')
    yield one("stripe live", "j.php", "$k = '", "sk_" + "live_" + of(ALNUM, 24), "';")
    yield one("stripe restricted", "j.py", "k = '", "rk_" + "live_" + of(ALNUM, 24), "'")
    yield one("stripe webhook", "j.go", 'k := "', "whsec_" + of(ALNUM, 32), '"')
    yield one("telegram", "k.py", "bot = '", of(string.digits[1:], 9) + ":AA" + of(URL, 33), "'")
    yield one("npm", "l.npmrc", "//registry.npmjs.org/:_authToken=", "npm_" + of(ALNUM, 36))
    yield one("pypi", "m.cfg", "password = ", "pypi-" + "AgEIcHlwaS5vcmc" + of(URL, 60))
    yield one("sendgrid", "n.py", "m = '", f"SG.{of(URL, 22)}.{of(URL, 43)}", "'")
    yield one("digitalocean", "o.tf", 't = "', "dop_v1_" + of(HEX, 64), '"')
    yield one("docker", "p.sh", "docker login -p ", "dckr_pat_" + of(URL, 27))
    yield one("vault", "q.yml", "v: ", "hvs." + of(URL, 90))
    yield one("azure storage", "r.json", '"AccountName=x;AccountKey=', of(ALNUM + "+/", 86) + "==", '"')
    yield one("jwt", "s.http", "Authorization: Bearer ", _jwt(of))
    yield one("bearer", "s.curl", "-H 'Authorization: Bearer ", of(ALNUM, 40), "'")
    yield one("database address", "t.py", 'D = "postgres://app:', of(ALNUM, 16), '@db.internal/shop"')
    yield one("private key", "u.txt", "-----BEGIN RSA " + "PRIVATE KEY-----\\n", of(ALNUM + "+/", 64))
    yield one("password in code", "v.py", 'DB_PASSWORD = "', of(ALNUM, 12) + "7!", '"')
    yield one("password in a setting", "v.yaml", "  password: ", of(ALNUM, 14) + "9")
    yield one("api key in code", "w.js", 'const apiKey = "', of(ALNUM, 30) + "4", '"')
    yield one("client secret", "w.properties", "oauth.client_secret=", of(ALNUM, 32) + "5")
    yield one("token in json", "x.json", '{"auth_token": "', of(HEX, 40), '"}')


def _jwt(of: Callable[[str, int], str]) -> str:
    def part(what: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(what).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'sub': of(ALNUM, 12)})}.{of(URL, 43)}"
