"""A server that runs in the current event loop or in a separate thread."""

import asyncio
from abc import ABC, abstractmethod
from concurrent.futures import Future
from threading import Thread
from types import TracebackType
from typing import Self


class Background(ABC):
    """``async with`` opens it in the current loop, ``with`` (or start/stop) in a new thread."""

    _thread: Thread | None = None
    _loop: asyncio.AbstractEventLoop
    _stop: asyncio.Event

    @abstractmethod
    async def open(self) -> None:
        """Start to listen; the ports are known afterwards."""

    @abstractmethod
    async def close(self) -> None:
        """Stop listening; every socket is closed when it returns."""

    def start(self) -> None:
        """Open it in a separate thread; return when it listens, raise the error of ``open``."""
        listening: Future[None] = Future()
        self._thread = Thread(target=lambda: asyncio.run(self._serve(listening)), daemon=True)
        self._thread.start()
        listening.result()

    def stop(self) -> None:
        """Close it and end its thread; harmless if it was never started."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, listening: "Future[None]") -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        try:
            await self.open()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread of the caller
            listening.set_exception(error)
            self._thread = None
            return
        listening.set_result(None)
        await self._stop.wait()
        await self.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def current_task() -> "asyncio.Task[None]":
    """Return the running task.

    raises  RuntimeError outside a task
    """
    task: asyncio.Task[None] | None = asyncio.current_task()
    if task is None:
        raise RuntimeError("there is no running task")
    return task


async def cancel_all(tasks: set["asyncio.Task[None]"]) -> None:
    """Cancel these tasks and wait until each has ended."""
    for task in (pending := list(tasks)):
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
