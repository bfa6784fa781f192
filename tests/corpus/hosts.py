"""What the host refuses: commands, disks, memory, ports, names, certificates. The rule of this room: real refusals only."""

# A case is one line: a small project, a command and its class.
# fmt: off
from __future__ import annotations

from typing import Final

from corpus.run import Case

_TLS: Final = "import http.server as h, ssl\nc = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('c', 'k')\ns = h.HTTPServer(('127.0.0.1', 0), h.SimpleHTTPRequestHandler)\ns.socket = c.wrap_socket(s.socket, server_side=True)\nprint(s.server_port, flush=True)\ns.serve_forever()\n"
_SERVE: Final = "python tls.py > port 2>/dev/null & P=$!; until [ -s port ]; do sleep 0.1; done; %s; R=$?; kill $P; exit $R"
_CERT: Final = "openssl req -x509 -newkey rsa:2048 -nodes -keyout k -out c -days 1 -subj /CN=localhost 2>/dev/null"
_ORDINARY: Final = "setpriv --reuid 65534 --regid 65534 --clear-groups "

CASES: Final = (
    Case(name="bash_not_found", tool="bash", command="bash -c 'gradlez test'", expected="env.command_missing"),
    Case(name="bash_script_not_found", tool="bash", command="bash run.sh", expected="env.command_missing", files={"run.sh": "set -e\necho building\nprotoc-gen --version\n"}),
    Case(name="dash_not_found", tool="sh", command="sh -c 'gradlez test'", expected="env.command_missing"),
    Case(name="dash_script_not_found", tool="sh", command="sh run.sh", expected="env.command_missing", files={"run.sh": "set -e\necho building\nprotoc-gen --version\n"}),
    Case(name="env_not_found", tool="env", command="./run", expected="env.command_missing", files={"run": "#!/usr/bin/env rubyz\n"}, before="chmod +x run"),
    Case(name="bad_interpreter", tool="bash", command="./run", expected="env.command_missing", files={"run": "#!/opt/none/python\n"}, before="chmod +x run"),
    Case(name="gradlew_missing", tool="bash", command="./gradlew test", expected="env.command_missing"),
    Case(name="xargs_not_found", tool="xargs", command="echo a | xargs rubocopz", expected="env.command_missing"),
    Case(name="python_subprocess_missing", tool="python", command="python -c \"import subprocess; subprocess.run(['terraformz'])\"", expected="env.command_missing"),
    Case(name="npx_no_network", tool="npx", command="npx --no-install jezt-none", expected="deps.npm_not_found", note="npx asks the registry even so", files={"package.json": "{}"}),
    Case(name="set_x_not_found", tool="bash", command="bash -x run.sh", expected="env.command_missing", files={"run.sh": "echo '2 passed'\ncargoz build\n"}),
    Case(name="bash_permission", tool="bash", command="./run.sh", expected="env.permission", files={"run.sh": "echo\n"}),
    Case(name="python_permission", tool="python", command=_ORDINARY + "/usr/bin/python3 -c \"open('/etc/shadow').read()\"", expected="env.permission"),
    Case(name="mkdir_permission", tool="mkdir", command=_ORDINARY + "mkdir /usr/local/x", expected="env.permission"),
    Case(name="cp_permission", tool="cp", command=_ORDINARY + "cp /etc/hostname /etc/x", expected="env.permission"),
    Case(name="node_permission", tool="node", command=_ORDINARY + "/usr/bin/node -e \"require('fs').writeFileSync('/etc/x', '')\"", expected="env.permission"),
    Case(name="npm_permission", tool="npm", command="chmod 755 ..; mkdir -p g; chmod 555 g; " + _ORDINARY + "env HOME=/tmp npm i -g ms --prefix ./g --cache /tmp/penstock-corpus-npm; R=$?; rm -rf /tmp/penstock-corpus-npm; exit $R", expected="env.permission", files={"package.json": "{}"}),
    Case(name="dd_full", tool="dd", command="dd if=/dev/zero of=/dev/full bs=1k count=1", expected="env.disk_full"),
    Case(name="python_full", tool="python", command="python -c \"f = open('/dev/full', 'w'); f.write('x'); f.close()\"", expected="env.disk_full"),
    Case(name="bash_full", tool="bash", command="echo x > /dev/full", expected="env.disk_full"),
    Case(name="node_full", tool="node", command="node -e \"require('fs').writeFileSync('/dev/full', 'x')\"", expected="env.disk_full"),
    Case(name="tar_tmpfs_full", tool="tar", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o size=64k tmpfs m && head -c 200000 /dev/urandom > big && tar cf m/a.tar big'", expected="env.disk_full"),
    Case(name="git_tmpfs_full", tool="git", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o size=300k tmpfs m && cd m && git init -q . && head -c 800000 /dev/urandom > ../big && git add ../big; cp ../big . ; git add big'", expected="env.disk_full"),
    Case(name="gcc_full", tool="gcc", command="gcc -S a.c -o /dev/full", expected="env.disk_full", files={"a.c": "int f(void) { return 0; }\n"}, stage="build"),
    Case(name="pip_full", tool="pip", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o size=200k tmpfs m && pip install --target m pygments'", expected="env.disk_full", stage="build"),
    Case(name="npm_full", tool="npm", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o size=300k tmpfs m && cd m && npm i --cache ./c typescript@5.9.2'", expected="env.disk_full", stage="build"),
    Case(name="python_memory", tool="python", command="ulimit -v 200000; python -c \"x = 'a' * 10**9\"", expected="env.out_of_memory"),
    Case(name="gpp_memory", tool="g++", command="ulimit -v 60000; g++ -c a.cpp", expected="env.out_of_memory", files={"a.cpp": "#include <iostream>\n#include <regex>\n#include <map>\nint main() { std::regex r(\"a\"); }\n"}, stage="build"),
    Case(name="fork_limit", tool="bash", command=_ORDINARY + "bash -c 'ulimit -u 1; ls | cat'", expected="env.resources"),
    Case(name="killed", tool="bash", command="bash -c 'sleep 5 & kill -9 $!; wait $!'", expected="env.out_of_memory", note="137: killed from outside, most often for its memory"),
    Case(name="killed_137", tool="bash", command="sh -c 'kill -9 $$'; exit 137", expected="env.out_of_memory"),
    Case(name="go_memory", tool="go", command="ulimit -v 500000; go run a.go", expected="env.out_of_memory", files={"a.go": "package main\n\nfunc main() { println(1) }\n"}, stage="build"),
    Case(name="python_port", tool="python", command="python -c \"import socket; a = socket.socket(); a.bind(('127.0.0.1', 0)); socket.socket().bind(a.getsockname())\"", expected="env.port_in_use"),
    Case(name="http_server_port", tool="python", command="python -c \"import socket, subprocess, sys; a = socket.socket(); a.bind(('', 0)); a.listen(); sys.exit(subprocess.call([sys.executable, '-m', 'http.server', str(a.getsockname()[1])]))\"", expected="env.port_in_use"),
    Case(name="go_port", tool="go", command="go run a.go", expected="env.port_in_use", files={"a.go": "package main\n\nimport (\n\t\"log\"\n\t\"net\"\n)\n\nfunc main() {\n\tl, _ := net.Listen(\"tcp\", \"127.0.0.1:0\")\n\tif _, err := net.Listen(\"tcp\", l.Addr().String()); err != nil {\n\t\tlog.Fatal(err)\n\t}\n}\n"}),
    Case(name="curl_dns", tool="curl", command="curl -sS https://nowhere.invalid/", expected="env.dns"),
    Case(name="wget_dns", tool="wget", command="wget -q https://nowhere.invalid/ || wget https://nowhere.invalid/", expected="env.dns"),
    Case(name="python_dns", tool="python", command="python -c \"import urllib.request as u; u.urlopen('http://nowhere.invalid/')\"", expected="env.dns"),
    Case(name="go_dns", tool="go", command="GOFLAGS=-mod=mod GOPROXY=https://proxy.nowhere.invalid GONOSUMDB=* go mod download example.com/x@v1.0.0", expected="env.dns", files={"go.mod": "module a\n\ngo 1.22\n"}, stage="build"),
    Case(name="cargo_dns", tool="cargo", command="CARGO_HOME=$PWD/.c CARGO_NET_RETRY=0 cargo build", expected="env.dns", files={"Cargo.toml": '[package]\nname = "a"\nversion = "0.1.0"\n[lib]\npath = "l.rs"\n[dependencies]\nserde = { version = "1", registry = "x" }\n', "l.rs": "", ".c/config.toml": '[registries.x]\nindex = "sparse+https://nowhere.invalid/"\n'}, stage="build"),
    Case(name="curl_refused", tool="curl", command="curl -sS http://127.0.0.1:9/", expected="env.network"),
    Case(name="python_refused", tool="python", command="python -c \"import urllib.request as u; u.urlopen('http://127.0.0.1:9/')\"", expected="env.network"),
    Case(name="curl_timeout", tool="curl", command="python -c \"import socket; a = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen(); import subprocess, sys; sys.exit(subprocess.call(['curl', '-sS', '-m', '1', 'http://127.0.0.1:%d/' % a.getsockname()[1]]))\"", expected="env.network"),
    Case(name="curl_tls", tool="curl", command=_SERVE % "curl -sS https://localhost:$(cat port)/", expected="env.tls", before=_CERT, files={"tls.py": _TLS}),
    Case(name="python_tls", tool="python", command=_SERVE % "python -c \"import urllib.request as u; u.urlopen('https://localhost:$(cat port)/')\"", expected="env.tls", before=_CERT, files={"tls.py": _TLS}),
    Case(name="node_tls", tool="node", command=_SERVE % "node -e \"require('https').get('https://localhost:$(cat port)/')\"", expected="env.tls", before=_CERT, files={"tls.py": _TLS}),
    Case(name="npm_tls", tool="npm", command=_SERVE % "npm i ms --registry https://localhost:$(cat port)/ --fetch-retries 0", expected="env.tls", before=_CERT, files={"tls.py": _TLS, "package.json": "{}"}),
    Case(name="pip_tls", tool="pip", command=_SERVE % "pip install --target t --retries 0 --index-url https://localhost:$(cat port)/ idna", expected="env.tls", before=_CERT, files={"tls.py": _TLS}),
    Case(name="open_files", tool="python", command="ulimit -n 20; python -c \"a = [open('/dev/null') for _ in range(50)]\"", expected="env.open_files"),
    Case(name="read_only", tool="python", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o ro tmpfs m && python -c \"open(\\\"m/x\\\", \\\"w\\\")\"'", expected="env.read_only"),
    Case(name="touch_read_only", tool="touch", command="unshare -m sh -c 'mkdir m && mount -t tmpfs -o ro tmpfs m && touch m/x'", expected="env.read_only"),
    Case(name="library_missing", tool="gcc", command="./a", expected="env.library_missing", before="echo 'int f(void) { return 0; }' | gcc -x c -shared -fPIC - -o libgone.so && echo 'int f(void); int main(void) { return f(); }' > a.c && gcc a.c -L. -lgone -o a && rm libgone.so"),
    Case(name="exec_format", tool="bash", command="./a", expected="env.runtime_version", before="printf '\\177ELF\\002\\001\\001\\000\\000\\000\\000\\000\\000\\000\\000\\000\\002\\000\\267\\000%0200d' 0 > a; chmod +x a"),
    Case(name="cat_missing", tool="cat", command="cat settings.toml", expected="env.file_missing"),
    Case(name="cd_missing", tool="bash", command="cd frontend && npm test", expected="env.file_missing"),
    Case(name="bash_unbound", tool="bash", command="set -u; echo $DATABASE_URL", expected="env.variable_missing"),
    Case(name="bash_required", tool="bash", command=": ${API_TOKEN:?must be set}", expected="env.variable_missing"),
    Case(name="bash_syntax", tool="bash", command="bash run.sh", expected="build.shell_syntax", files={"run.sh": "if [ 1 = 1 ]; then\necho a\n"}),
    Case(name="dash_syntax", tool="sh", command="sh run.sh", expected="build.shell_syntax", files={"run.sh": "f() {\necho (a)\n}\n"}),
    Case(name="docker_down", tool="docker", command="docker -H unix:///nowhere.sock run hello", expected="env.docker_down"),
    Case(name="postgres_down", tool="python", command="python -c \"raise SystemExit('psycopg2.OperationalError: connection to server at \\\"localhost\\\" (127.0.0.1), port 5432 failed: Connection refused\\n\\tIs the server running on that host and accepting TCP/IP connections?')\"", expected="env.service_down", note="the driver's own words, printed by hand"),
    Case(name="redis_down", tool="python", command="python -c \"raise SystemExit('redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. Connection refused.')\"", expected="env.service_down", note="the driver's own words, printed by hand"),
    Case(name="terminated", tool="timeout", command="timeout 1 sleep 5", expected="verify.timeout", note="124 is timeout's own"),
    Case(name="pass_then_missing", tool="bash", command="echo 'Ran 3 tests in 0.1s'; echo; echo OK; shellcheckz x.sh", expected="env.command_missing"),
    Case(name="echoed_missing", tool="bash", command="echo 'hint: if you see command not found, install jq'; exit 2", expected="verify.failed", note="speaks of a missing command without missing one"),
)
