"""A gunicorn with our configuration, two threads and short limits, and raw connections to it."""

from collections.abc import Iterator

import pytest

from tests.support.gunicorn import Gunicorn, start, stop


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    """One gunicorn for the tests of a file."""
    gunicorn = start(
        tmp_path_factory.mktemp("gunicorn"),
        REQUEST_HEAD_SECONDS="2",
        REQUEST_BODY_SECONDS="3",
        INGEST_MAX_BYTES="1048576",
    )
    yield gunicorn
    stop(gunicorn)
