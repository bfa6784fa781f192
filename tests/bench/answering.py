"""A model's API as a process of its own: it prints its port, and says the same streamed answer to whatever comes, at once or as
many milliseconds later as a header asks for.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import Final

import uvloop

PIECES: Final = 12
DELTA: Final = b'data: {"id":"a1","choices":[{"index":0,"delta":{"content":"some words of an answer "}}]}\n\n'
LAST: Final = (
    b'data: {"id":"a1","choices":[],"usage":{"prompt_tokens":1200,"completion_tokens":40}}\n\ndata: [DONE]\n\n'
)
HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END: Final = b"0\r\n\r\n"
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_WAIT: Final = re.compile(rb"x-stainless-wait: *(\d+)", re.IGNORECASE)


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


ANSWER: Final = [HEAD + chunk(DELTA), *(chunk(DELTA) for _ in range(PIECES - 1)), chunk(LAST) + END]


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if found := _LENGTH.search(head):
                await reader.readexactly(int(found[1]))
            if wait := _WAIT.search(head):
                await asyncio.sleep(int(wait[1]) / 1_000)
            for part in ANSWER:
                writer.write(part)
                await writer.drain()
    writer.close()


async def serve() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve())
