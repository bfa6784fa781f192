"""Runs inside a sandbox: TCP ports on its loopback that lead to unix sockets, for programs that know no unix sockets.

    python -I -S loopback_program.py 8009=/path/of/socket [...] -- program arguments...

Listens first, then becomes the program, so that whoever watches this process watches the program and its first request finds
somebody there. What forwards is one process of its own with one thread (a sandbox's processes and threads are counted), and
ends with the program. Only the standard library: nothing else is in the sandbox.

The rule of this room: every connection has two directions, each with one chunk at most on its way; who is slow makes the other
side wait, and an end in one direction is passed on in that direction alone.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import sys
import time

CONNECTIONS_MAX = 64
"""At one time; others wait to be accepted."""

CHUNK_BYTES = 64 * 1024
CONNECT_SECONDS_MAX = 5.0
IDLE_SECONDS_MAX = 1_800.0
"""A connection on which nothing moved for so long is ended. A model that thinks is silent for less."""

LOOK_SECONDS = 30.0
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


def main(words: list[str]) -> None:
    at = words.index("--")
    program = words[at + 1 :]
    listeners: list[tuple[socket.socket, str]] = []
    for word in words[:at]:
        port, _, path = word.partition("=")
        listeners.append((socket.create_server(("127.0.0.1", int(port)), backlog=CONNECTIONS_MAX), path))
    pid = os.getpid()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:  # a grandchild: the program has no child that it does not know
            _detach()
            Forwarder(listeners, pid).serve()
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


class Direction:
    """From one socket to another: what has been read and not yet written, and how far its end has got. Where nobody takes what
    is written any more it is read on and dropped: the other direction may still have something to say."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.is_over = False
        self._waiting = b""
        self._has_ended = False
        self._is_taken = True

    @property
    def reads(self) -> bool:
        return not self._waiting and not self._has_ended

    @property
    def writes(self) -> bool:
        return bool(self._waiting)

    def read(self) -> None:
        try:
            self._waiting = self.source.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._waiting = b""
        self._has_ended = not self._waiting
        self.write()

    def write(self) -> None:
        try:
            if self._waiting and self._is_taken:
                self._waiting = self._waiting[self.sink.send(self._waiting) :]
        except BlockingIOError:
            return
        except OSError:
            self._is_taken = False
        if not self._is_taken:
            self._waiting = b""
        if self._has_ended and not self._waiting:
            self.is_over = True
            with contextlib.suppress(OSError):
                self.sink.shutdown(socket.SHUT_WR)


class Link:
    """A connection of the program's and the one to the unix socket that it leads to."""

    def __init__(self, client: socket.socket, upstream: socket.socket) -> None:
        self.sockets = (client, upstream)
        self.directions = (Direction(client, upstream), Direction(upstream, client))
        self.moved_at = time.monotonic()

    def wants(self, one: socket.socket) -> int:
        """What to wait for on this socket."""
        events = 0
        for direction in self.directions:
            events |= READ if direction.source is one and direction.reads else 0
            events |= WRITE if direction.sink is one and direction.writes else 0
        return events

    def move(self, one: socket.socket, events: int) -> bool:
        """Do what this socket is ready for; whether the connection is over."""
        self.moved_at = time.monotonic()
        for direction in self.directions:
            if events & READ and direction.source is one and direction.reads:
                direction.read()
            if events & WRITE and direction.sink is one and direction.writes:
                direction.write()
        return all(direction.is_over for direction in self.directions)


class Forwarder:
    """Every port and every connection, in one thread, as long as the process `pid` lives."""

    def __init__(self, listeners: list[tuple[socket.socket, str]], pid: int) -> None:
        self._listeners = listeners
        self._links: set[Link] = set()
        self._select = selectors.DefaultSelector()
        self._accepting = False
        with contextlib.suppress(OSError):  # on a kernel without it, this process ends with the sandbox
            self._select.register(os.pidfd_open(pid), READ)

    def serve(self) -> None:
        while True:
            self._accept_or_not()
            for key, events in self._select.select(LOOK_SECONDS):
                if key.data is None:
                    return
                if isinstance(key.data, str):
                    self._accept(key.fileobj, key.data)
                elif key.data in self._links:
                    assert isinstance(key.fileobj, socket.socket)
                    self._moved(key.data, key.data.move(key.fileobj, events))
            for link in [link for link in self._links if time.monotonic() - link.moved_at > IDLE_SECONDS_MAX]:
                self._moved(link, True)

    def _accept_or_not(self) -> None:
        """Where there is no room, those who come are left waiting."""
        room = len(self._links) < CONNECTIONS_MAX
        if room == self._accepting:
            return
        self._accepting = room
        for listener, path in self._listeners:
            if room:
                self._select.register(listener, READ, path)
            else:
                self._select.unregister(listener)

    def _accept(self, listener: object, path: str) -> None:
        assert isinstance(listener, socket.socket)
        if len(self._links) >= CONNECTIONS_MAX:
            return
        try:
            client, _ = listener.accept()
        except OSError:
            return  # it has left again, or there are no more descriptors: the next one may have better luck
        upstream = socket.socket(socket.AF_UNIX)
        upstream.settimeout(CONNECT_SECONDS_MAX)
        try:
            connect(upstream, path)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            client.close()
            upstream.close()
            return
        link = Link(client, upstream)
        self._links.add(link)
        for one in link.sockets:
            one.setblocking(False)
            self._select.register(one, READ, link)

    def _moved(self, link: Link, is_over: bool) -> None:
        for one in link.sockets:
            wanted = 0 if is_over else link.wants(one)
            known = self._select.get_map().get(one)
            if wanted and known is None:
                self._select.register(one, wanted, link)
            elif wanted and known is not None and known.events != wanted:
                self._select.modify(one, wanted, link)
            elif not wanted and known is not None:
                self._select.unregister(one)
        if is_over:
            self._links.discard(link)
            for one in link.sockets:
                one.close()


def connect(upstream: socket.socket, path: str) -> None:
    """To the socket at `path`, by way of its folder, since an address holds 107 bytes and a path may have more."""
    parent, _, name = path.rpartition("/")
    folder = os.open(parent, os.O_PATH | os.O_DIRECTORY)
    try:
        upstream.connect(f"/proc/self/fd/{folder}/{name}")
    finally:
        os.close(folder)


if __name__ == "__main__":
    main(sys.argv[1:])
