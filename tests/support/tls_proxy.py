"""A proxy that terminates TLS in front of a server without TLS: the embedded Valkey has none."""

import asyncio
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Queue

import trustme


@dataclass(frozen=True, slots=True)
class TlsProxy:
    """A running proxy; its certificate names ``localhost``, and ``ca_file`` has its authority."""

    port: int
    ca_file: Path


@contextmanager
def tls_proxy(directory: Path, target_port: int) -> Iterator[TlsProxy]:
    """Terminate TLS on a loopback port, with a certificate that the system does not trust."""
    authority = trustme.CA()
    ca_file = directory / "redis-ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)

    writers: list[StreamWriter] = []
    started: Queue[tuple[int, Callable[[], object]]] = Queue()

    async def forward(reader: StreamReader, writer: StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", target_port)
        writers.extend([writer, target_writer])
        await asyncio.gather(_copy(reader, target_writer), _copy(target_reader, writer))

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        server = await asyncio.start_server(forward, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        started.put((port, partial(loop.call_soon_threadsafe, stop.set)))
        await stop.wait()
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.sleep(0.05)  # the transports close in the next iterations of the loop

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    port, stop = started.get()
    try:
        yield TlsProxy(port, ca_file)
    finally:
        stop()
        thread.join()


async def _copy(source: StreamReader, target: StreamWriter) -> None:
    with suppress(OSError):  # one side may reset its connection
        while data := await source.read(65_536):
            target.write(data)
            await target.drain()
    target.close()
