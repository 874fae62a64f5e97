"""The number of statements for a batch of report files."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.services.filing import processor
from app.services.ingest import files
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import dmarc_xml


@contextmanager
def recorded(database: Engine) -> Iterator[list[str]]:
    """The statements that are sent in the block."""
    statements: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database, "before_cursor_execute", note)


def statements_to_process(database: Engine, domains: list[str]) -> int:
    """The number of statements to process one report about each of these domains."""
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    ids = [
        files.store(account_id, dmarc_xml(domain, f"r{number}"), received_via="http").file.id
        for number, domain in enumerate(domains)
    ]
    with recorded(database) as statements:
        assert processor.run(ids) == len(domains)
    return len(statements)


@pytest.mark.parametrize("domain", ["acme.test", "unknown.test"])
def test_statements_do_not_depend_on_the_number_of_files(database: Engine, domain: str) -> None:
    few = statements_to_process(database, [domain] * 2)
    assert statements_to_process(database, [domain] * 12) == few
