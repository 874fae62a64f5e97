"""A server that can be opened in the running event loop, or started in a thread of its own."""

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
        """Listen; the ports are known afterwards."""

    @abstractmethod
    async def close(self) -> None:
        """Listen no more; every socket is closed when it returns."""

    def start(self) -> None:
        """Open it in a thread of its own; returns when it listens, raises what ``open`` raised."""
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
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asked
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


async def cancel_all(tasks: set["asyncio.Task[None]"]) -> None:
    """Cancel these tasks and wait until each has ended."""
    for task in (pending := list(tasks)):
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
