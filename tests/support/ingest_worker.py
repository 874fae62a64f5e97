"""A thread that processes report files as a worker does."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.services.filing import processor


@contextmanager
def processing_files() -> Iterator[None]:
    """Process all received files until the end of the block."""
    is_done = threading.Event()

    def process() -> None:
        while not is_done.is_set():
            processor.run([])
            time.sleep(0.05)

    thread = threading.Thread(target=process)
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()
