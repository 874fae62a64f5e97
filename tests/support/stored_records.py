"""Records of every kind, stored as the service stores them."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

from app.services.filing import processor
from app.services.forwarding import kinds, stream
from app.services.forwarding.stream import Position
from app.services.ingest import files
from app.services.scans import runner
from tests.support.factories import make_scan
from tests.support.report_documents import dmarc_xml, failure_mail, record, tls_json
from tests.support.zones import Zone, ZoneNetwork

DOMAIN = "acme.test"


def store_reports(account_id: UUID, *documents: bytes) -> None:
    """Store and process files."""
    for document in documents:
        files.store(account_id, document, received_via="upload")
    processor.run([])


def numbered_report(count: int, report_id: str = "numbered") -> bytes:
    """A report with this number of records, each with its own count."""
    rows = [record(ip=f"198.51.100.{n % 250}", count=n + 1) for n in range(count)]
    return dmarc_xml(report_id=report_id, records=rows)


def store_all_kinds(account_id: UUID) -> None:
    """Store at least one record of every kind but ``report_removed``; DOMAIN must exist."""
    store_reports(account_id, dmarc_xml(DOMAIN), tls_json(DOMAIN), failure_mail(DOMAIN))
    scan = make_scan(account_id, DOMAIN)
    runner.run([scan.id], ZoneNetwork(Zone({DOMAIN: ["v=spf1 +all"]})))


def read_all(
    account_id: UUID,
    *,
    position: Position = stream.START,
    names: Collection[str] = kinds.NAMES,
    limit: int = 500,
) -> list[dict[str, Any]]:
    """Return all records from the position on, read in batches of this size."""
    records: list[dict[str, Any]] = []
    has_more = True
    while has_more:
        batch = stream.read(account_id, position, names, limit)
        assert len(batch.records) <= limit
        position, has_more = batch.position, batch.has_more
        records += batch.records
    return records


def ids_of(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["id"] for record in records]


def paths(value: Any, declared: Collection[str], prefix: str = "") -> Iterator[str]:
    """Yield the path of each field, as the field tables write it."""
    if f"{prefix}.*" in declared:
        yield f"{prefix}.*"
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from paths(item, declared, f"{prefix}.{name}" if prefix else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from paths(item, declared, f"{prefix}[]")
    else:
        yield prefix
