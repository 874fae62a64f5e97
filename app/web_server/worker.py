"""The worker class of gunicorn that serves the application (``worker_class``).

1. The event loop accepts connections and reads each request, head and body, into a buffer.
2. A thread takes each complete request, runs the application, and writes the response without
   waiting for the client.
3. The event loop sends the part of the response that is still buffered, and reads the next request.
4. Once a second the event loop closes connections that are late or too slow.

A client can therefore occupy a connection, and a buffer for a limited time, but never a thread.
"""

import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.http import wsgi
from gunicorn.workers import base

from app.web_server import error_response
from app.web_server.connection import READING, Connection, State
from app.web_server.limits import READ_BYTES, Budget, BufferFull, Limits, WorkerContext

STOP_LINGER_SECONDS = 2.0  # for idle connections, on which a request may be in transit
SWEEP_INTERVAL_SECONDS = 1.0
TIMEOUT_MESSAGE = "The request did not arrive in time. Send it again over a faster connection."
OVERLOAD_MESSAGE = "The server is receiving too many large requests. Try again in a moment."


class BufferedWorker(base.Worker):  # type: ignore[misc]  # gunicorn has no types
    """Threads behind an event loop that buffers requests and responses."""

    limits = Limits()
    # Further headers of errors, by the address of the client; must not wait.
    headers_of_error: Callable[[Any], error_response.Headers] | None = None
    alive: bool
    sockets: list[Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context = WorkerContext(self.cfg, self.limits, Budget(self.limits.buffer_bytes))
        self._connections: set[Connection] = set()
        self._jobs: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._events: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self._is_waiting = False
        self._is_accepting = False
        self._swept_at = 0.0

    def run(self) -> None:
        """Serve until the worker is stopped, then finish the requests in progress."""
        self._selector = selectors.DefaultSelector()
        self._selector.register(self.PIPE[0], selectors.EVENT_READ, self._drain_pipe)
        for listener in self.sockets:
            listener.setblocking(False)
        for _ in range(self.cfg.threads):
            threading.Thread(target=self._work, name="request", daemon=True).start()
        while self.alive and self.ppid == os.getppid():
            self._set_accepting(not self._is_full() or self._longest_waiting() is not None)
            self._run_once()
        self.alive = False
        self._stop_listening()
        deadline = time.monotonic() + self.cfg.graceful_timeout
        while self._connections and time.monotonic() < deadline:
            self._run_once()
        for connection in list(self._connections):
            self._close(connection)

    def _run_once(self) -> None:
        """Wait for events for at most a second, and handle them."""
        self._is_waiting = True
        timeout = 0.0 if not self._events.empty() else SWEEP_INTERVAL_SECONDS
        ready = self._selector.select(timeout)
        self._is_waiting = False
        for key, _ in ready:
            key.data()
        with suppress(queue.Empty):
            while True:
                self._after_thread(self._events.get_nowait())
        now = time.monotonic()
        if now - self._swept_at >= SWEEP_INTERVAL_SECONDS:
            self._swept_at = now
            self.notify()
            self._sweep(now)

    def _drain_pipe(self) -> None:
        with suppress(BlockingIOError):
            os.read(self.PIPE[0], 4096)

    def _notify_loop(self, connection: Connection) -> None:
        """Have the event loop check a connection; any thread may call this."""
        self._events.put(connection)
        if self._is_waiting:
            with suppress(BlockingIOError):  # the pipe is full, so the loop runs anyway
                os.write(self.PIPE[1], b".")

    # Accepting

    def _set_accepting(self, is_accepting: bool) -> None:
        if is_accepting == self._is_accepting:
            return
        for listener in self.sockets:
            if is_accepting:
                accept = partial(self._accept, listener)
                self._selector.register(listener, selectors.EVENT_READ, accept)
            else:
                self._selector.unregister(listener)
        self._is_accepting = is_accepting

    def _stop_listening(self) -> None:
        """Accept the connections that clients have opened already, and refuse further ones.

        When the last process stops listening, the kernel resets those that were not accepted.
        """
        for listener in self.sockets:
            while self._accept(listener):
                pass
        self._set_accepting(False)
        for listener in self.sockets:
            listener.close()

    def _is_full(self) -> bool:
        return len(self._connections) >= int(self.cfg.worker_connections)

    def _accept(self, listener: Any) -> bool:
        """Accept a connection; False if there is none."""
        if self._is_full():
            self._evict()
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:  # too many open files, most likely
            self.log.warning("No connection could be accepted: %s", error)
            if not self._evict():
                time.sleep(0.05)
            return False
        client.setblocking(False)
        if client.family != socket.AF_UNIX:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = Connection(
            client=client,
            address=address,
            server=listener.getsockname(),
            context=self._context,
            on_buffered=self._notify_loop,
        )
        self._connections.add(connection)
        self._watch(connection, selectors.EVENT_READ)
        return True

    def _evict(self) -> bool:
        """Close the connection that has waited longest for its client; False if there is none."""
        connection = self._longest_waiting()
        if connection is not None:
            self._close(connection)
        return connection is not None

    def _longest_waiting(self) -> Connection | None:
        """The longest idle connection, or else the oldest one whose request is incomplete."""
        waiting = [connection for connection in self._connections if connection.state in READING]
        return min(waiting, key=_eviction_order, default=None)

    # Reading

    def _watch(self, connection: Connection, mask: int) -> None:
        handle = self._read if mask == selectors.EVENT_READ else self._write
        self._selector.register(connection.client, mask, partial(handle, connection))

    def _unwatch(self, connection: Connection) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(connection.client)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._close(connection)
        elif connection.state is State.LINGERING:
            connection.discard()
        else:
            self._feed(connection, data)

    def _feed(self, connection: Connection, data: bytes) -> None:
        incoming = connection.incoming
        try:
            incoming.feed(data)
        except BufferFull:
            self._refuse(connection, 503, "Service Unavailable", OVERLOAD_MESSAGE)
            return
        except Exception as error:  # noqa: BLE001  # logged; one bad request must not end the worker
            self._send_error(connection, error)
            self._linger(connection)
            return
        if incoming.is_complete:
            self._unwatch(connection)
            self._start(connection)
        elif incoming.request is None:
            if connection.state is State.IDLE:
                connection.enter(State.HEAD)
        elif connection.state is not State.BODY:
            connection.enter(State.BODY)
            if incoming.wants_continue:
                with suppress(OSError):
                    connection.client.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _start(self, connection: Connection) -> None:
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("Autorestarting worker after current request.")
            self.alive = False
        connection.is_closing = connection.incoming.is_truncated or not self.alive
        connection.enter(State.BUSY)
        self._jobs.put(connection)

    # Answering, in a thread

    def _work(self) -> None:
        while True:
            connection = self._jobs.get()
            try:
                self._answer(connection)
            except OSError as error:
                self.log.debug("The client has disconnected: %s", error)
                connection.is_closing = connection.outgoing.is_broken = True
            except BaseException:
                self.log.exception("Error handling request")
                connection.is_closing = connection.outgoing.is_broken = True
            connection.enter(State.WRITING)
            self._notify_loop(connection)

    def _answer(self, connection: Connection) -> None:
        request, outgoing = connection.incoming.request, connection.outgoing
        response: Any = None
        try:
            connection.incoming.decode_chunks()
            response, environ = wsgi.create(
                request, outgoing, connection.address, connection.server, self.cfg
            )
            environ["wsgi.input"] = connection.incoming.decoded or environ["wsgi.input"]
            environ["wsgi.multithread"] = True
            environ["web_server.threads"] = self.cfg.threads
            environ["web_server.is_stopping"] = lambda: not self.alive
            if connection.is_closing or not self.alive or not self.cfg.keepalive:
                response.force_close()
            blocks = self.wsgi(environ, response.start_response)
            try:
                for block in blocks:
                    response.write(block)
                response.close()
                outgoing.finish()
            finally:
                if hasattr(blocks, "close"):
                    blocks.close()
            connection.is_closing = response.should_close()
            connection.incoming.skip_body()
        except OSError:
            raise
        except Exception as error:
            if response is not None and response.headers_sent:
                raise
            connection.is_closing = True
            self._send_error(connection, error)
            outgoing.finish()

    # Writing

    def _after_thread(self, connection: Connection) -> None:
        """Take over from a thread that has finished or has started to buffer."""
        if connection.state is State.CLOSED:
            return
        if connection.outgoing.is_broken and connection.state is not State.BUSY:
            self._close(connection)
        elif connection.outgoing.is_buffered:
            self._unwatch(connection)
            self._watch(connection, selectors.EVENT_WRITE)
        elif connection.state is State.WRITING:
            self._unwatch(connection)
            self._next(connection)

    def _write(self, connection: Connection) -> None:
        try:
            connection.outgoing.flush()
        except OSError:
            connection.outgoing.abort()
        if not connection.outgoing.is_buffered:
            self._unwatch(connection)
            self._after_thread(connection)

    def _next(self, connection: Connection) -> None:
        """Wait for the next request, or start it if it has arrived already."""
        surplus = None if connection.is_closing else connection.next_request()
        if surplus is None:
            self._linger(connection)
            return
        connection.enter(State.IDLE)
        if surplus:
            self._feed(connection, surplus)
        if connection.state in READING:
            self._watch(connection, selectors.EVENT_READ)

    # Ending

    def _send_error(self, connection: Connection, error: Exception) -> None:
        """Log the error and send its response; only errors of the request have a message."""
        status, reason = error_response.status_of(error)
        message = ""
        if status in (500, 501):
            self.log.error("Error handling request", exc_info=error)
        else:
            message = str(error)
            self.log.warning("Invalid request from %s: %s", connection.address, error)
        with suppress(OSError):
            self._send_response(connection, status, reason, message)

    def _send_response(
        self, connection: Connection, status: int, reason: str, message: str
    ) -> None:
        headers = self.headers_of_error(connection.address) if self.headers_of_error else ()
        data = error_response.build(status, reason, message, headers)
        connection.outgoing.sendall(data)

    def _refuse(self, connection: Connection, status: int, reason: str, message: str) -> None:
        with suppress(OSError):
            self._send_response(connection, status, reason, message)
        self._linger(connection)

    def _linger(self, connection: Connection) -> None:
        """End the response, and close after the client, which could lose the response otherwise."""
        with suppress(OSError):
            connection.outgoing.finish()
            connection.client.shutdown(socket.SHUT_WR)
        connection.enter(State.LINGERING)
        self._unwatch(connection)
        self._watch(connection, selectors.EVENT_READ)

    def _close(self, connection: Connection) -> None:
        self._unwatch(connection)
        self._connections.discard(connection)
        connection.close()

    def _sweep(self, now: float) -> None:
        keepalive = self.cfg.keepalive if self.alive else STOP_LINGER_SECONDS
        for connection in list(self._connections):
            if not connection.is_late(now, keepalive):
                continue
            if connection.state in (State.HEAD, State.BODY):
                self._refuse(connection, 408, "Request Timeout", TIMEOUT_MESSAGE)
            elif connection.state is State.BUSY:
                connection.outgoing.abort()
                self._unwatch(connection)
            else:
                self._close(connection)


def _eviction_order(connection: Connection) -> tuple[bool, float]:
    return not connection.is_between_requests, connection.since
