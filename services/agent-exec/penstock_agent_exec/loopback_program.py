"""Runs inside a sandbox: TCP ports on its loopback that lead to unix sockets, for programs that know no unix sockets.

    python -I -S loopback_program.py 8009=/path/of/socket [...] -- program arguments...

Listens first, then becomes the program, so that whoever watches this process watches the program and its first request finds
somebody there. What forwards is a process of its own, and dies with the sandbox. Only the standard library: nothing else is in
the sandbox.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading

CONNECTIONS_MAX = 64
CHUNK_BYTES = 64 * 1024


def main(words: list[str]) -> None:
    at = words.index("--")
    program = words[at + 1 :]
    listeners: list[tuple[socket.socket, str]] = []
    for word in words[:at]:
        port, _, path = word.partition("=")
        listeners.append((socket.create_server(("127.0.0.1", int(port)), backlog=CONNECTIONS_MAX), path))
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:  # a grandchild: the program has no child that it does not know
            _detach()
            for listener, path in listeners:
                threading.Thread(target=_serve, args=(listener, path)).start()
            return
        os._exit(0)
    os.wait()
    for listener, _ in listeners:
        listener.close()
    os.execvp(program[0], program)  # noqa: S606  that is what this file is for


def _detach() -> None:
    """The program's pipes are its own: whoever reads them must not wait for this process."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _serve(listener: socket.socket, path: str) -> None:
    room = threading.BoundedSemaphore(CONNECTIONS_MAX)
    while True:
        client, _ = listener.accept()
        if not room.acquire(blocking=False):
            client.close()
            continue
        threading.Thread(target=_connect, args=(client, path, room), daemon=True).start()


def _connect(client: socket.socket, path: str, room: threading.BoundedSemaphore) -> None:
    try:
        with client, socket.socket(socket.AF_UNIX) as upstream:
            upstream.connect(path)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            up = threading.Thread(target=_pump, args=(client, upstream), daemon=True)
            up.start()
            _pump(upstream, client)
            up.join()
    except OSError:
        pass  # whoever called sees a connection that ends; there is nobody else to tell
    finally:
        room.release()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1:])
