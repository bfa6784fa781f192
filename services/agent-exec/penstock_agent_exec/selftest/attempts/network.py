"""Attempts to reach somebody. The rule of this room: an answer is the proof, or a way out in the kernel's own tables; nothing
is sent to anybody but the host itself."""

from __future__ import annotations

import contextlib
import os
import socket

from .kept import Attempt, Given, Kept, holding, read

WAIT_SECONDS = 5.0
SOCKETS_OF_HOSTS = (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/podman/podman.sock",
    "/run/crio/crio.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/nscd/socket",
    "/tmp/.X11-unix/X0",
)


def tcp(given: Given) -> str:
    return _heard(given, socket.create_connection(("127.0.0.1", int(given["tcp_port"])), WAIT_SECONDS))


def tcp6(given: Given) -> str:
    return _heard(given, socket.create_connection(("::1", int(given["tcp6_port"] or 9)), WAIT_SECONDS))


def udp(given: Given) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect(("127.0.0.1", int(given["udp_port"])))
        asking.send(b"?")
        return _heard(given, asking)


def abstract(given: Given) -> str:
    return _unix(given, "\0" + given["abstract"])


def path(given: Given) -> str:
    return _unix(given, given["socket"])


def containers(_given: Given) -> str:
    own = f"/run/user/{os.getuid()}/"
    reached = []
    for name in (*SOCKETS_OF_HOSTS, own + "docker.sock", own + "bus", own + "podman/podman.sock"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(WAIT_SECONDS)
            asking.connect(name)
            reached.append(name)
    if not reached:
        raise Kept("none of the usual sockets answers")
    return f"reached {', '.join(reached)}"


def metadata(_given: Given) -> str:
    return _way_to("169.254.169.254", 80)


def internet(_given: Given) -> str:
    return _way_to("192.0.2.1", 443)


def name_server(given: Given) -> str:
    """The host's own: a question about nothing, one packet."""
    question = bytes.fromhex("beef01000001000000000000") + b"\0\0\x02\0\x01"
    for server in given["name_servers"].split():
        with socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.settimeout(WAIT_SECONDS)
            asking.connect((server, 53))
            asking.send(question)
            return f"{server} answered {len(asking.recv(4096))} bytes"
    raise Kept("the host has no name server")


def interfaces(_given: Given) -> str:
    found = [name for _, name in socket.if_nameindex() if name != "lo"]
    if not found:
        raise Kept("there is nothing but its own loopback")
    return f"has {', '.join(found)}"


def connections(given: Given) -> str:
    if f":{int(given['tcp_port']):04X} " not in read("/proc/net/tcp"):
        raise Kept("the host's connections are not in its tables")
    return "sees what the host listens on"


def raw(_given: Given) -> str:
    return _made(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)


def packet(_given: Given) -> str:
    return _made(17, socket.SOCK_RAW, 0)


def uevents(_given: Given) -> str:
    return _made(16, socket.SOCK_RAW, 15)


def firewall(_given: Given) -> str:
    return _made(16, socket.SOCK_RAW, 12)


def vsock(_given: Given) -> str:
    return _made(40, socket.SOCK_STREAM, 0)


def crypto(_given: Given) -> str:
    return _made(38, socket.SOCK_SEQPACKET, 0)


def _made(family: int, kind: int, protocol: int) -> str:
    with socket.socket(family, kind, protocol):
        return "has such a socket"


def _way_to(address: str, port: int) -> str:
    """Connecting a UDP socket asks for the way, and sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.connect((address, port))
        return f"has a way to {address}, from {asking.getsockname()[0]}"


def _unix(given: Given, name: str) -> str:
    asking = socket.socket(socket.AF_UNIX)
    asking.settimeout(WAIT_SECONDS)
    asking.connect(name)
    return _heard(given, asking)


def _heard(given: Given, asking: socket.socket) -> str:
    with asking:
        asking.settimeout(WAIT_SECONDS)
        return holding(given, asking.recv(4096).decode(errors="replace"), "a service of the host")


ATTEMPTS: dict[str, Attempt] = {
    "tcp-loopback": tcp,
    "tcp6-loopback": tcp6,
    "udp-loopback": udp,
    "unix-abstract": abstract,
    "unix-path": path,
    "host-sockets": containers,
    "metadata-address": metadata,
    "internet": internet,
    "name-server": name_server,
    "interfaces": interfaces,
    "connections": connections,
    "raw-socket": raw,
    "packet-socket": packet,
    "uevent-socket": uevents,
    "netfilter-socket": firewall,
    "vsock": vsock,
    "kernel-crypto": crypto,
}
