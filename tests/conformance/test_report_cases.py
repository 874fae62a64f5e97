"""Report files as they really arrive end in the status and the figures of their expected.json."""

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.engine import Engine
from sqlalchemy.orm import Session

from app.db.transactions import transaction
from app.models import DmarcRecord, DmarcReport, FailureReport, ReportFile, TlsPolicy
from app.services.filing import processor
from app.services.ingest import files
from tests.support.factories import make_account, make_domain
from tests.support.paths import DATA

CASES = DATA / "report-cases"
EXPECTED: Mapping[str, Mapping[str, Any]] = json.loads((CASES / "expected.json").read_text())[
    "files"
]
DOMAINS = ("acme.example", "bücher.example")
NAMES = sorted(EXPECTED)

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("name", NAMES)
def test_file_ends_in_the_expected_status_and_figures(name: str, database: Engine) -> None:
    account_id = make_account().id
    for domain in DOMAINS:
        make_domain(account_id, domain)
    if (earlier := earlier_file(name)) is not None:
        receive(account_id, f"earlier-{name}", earlier)
    before = figures(account_id)
    rows = receive(account_id, name, (CASES / name).read_bytes())
    assert differences(EXPECTED[name], rows, before, figures(account_id)) == []


def test_every_file_has_an_expected_result(database_url: str) -> None:
    present = {path.name for path in CASES.iterdir()} - {"README.md", "expected.json"}
    assert present == set(EXPECTED)


def receive(account_id: UUID, name: str, raw: bytes) -> list[ReportFile]:
    """Receive and process a file, and return its rows."""
    stored = files.store(account_id, raw, received_via="upload", file_name=name).file
    processor.run([stored.id])
    with transaction(readonly=True) as session:
        is_same_file = (ReportFile.account_id == account_id, ReportFile.sha256 == stored.sha256)
        return list(session.scalars(select(ReportFile).where(*is_same_file)))


def earlier_file(name: str) -> bytes | None:
    """The report that the file repeats or contradicts: a file of the folder, or derived."""
    if name[3] != "b":
        return None
    present = [path for path in CASES.iterdir() if path.name.startswith(f"{name[:3]}a-")]
    if present:
        return present[0].read_bytes()
    later = (CASES / name).read_bytes()
    match name[:3]:
        case "d02":  # with one record less
            start = later.rindex(b"<record>")
            return later[:start] + later[later.rindex(b"</feedback>") :]
        case "d03":  # of the day before
            return later.replace(b"1795737600", b"1795651200").replace(b"1795823999", b"1795737599")
        case "d04":  # of another organization
            return later.replace(b"two.example", b"one.example")
        case "d08":
            return later.replace(b"\r\n", b"\n")
    return None


def figures(account_id: UUID) -> dict[str, int]:
    """The sums over all stored reports of the account."""
    with transaction(readonly=True) as session:
        return {
            "messages": total(session, account_id, DmarcReport.messages),
            "passed": total(session, account_id, DmarcReport.passed),
            "ok": total(session, account_id, TlsPolicy.successful),
            "bad": total(session, account_id, TlsPolicy.failed),
        }


def total(session: Session, account_id: UUID, column: Any) -> int:
    is_own = column.class_.account_id == account_id
    return int(session.scalar(select(func.coalesce(func.sum(column), 0)).where(is_own)) or 0)


def differences(
    expected: Mapping[str, Any],
    rows: list[ReportFile],
    before: Mapping[str, int],
    after: Mapping[str, int],
) -> list[str]:
    """The deviations from the expected result; empty if there are none."""
    added = {name: after[name] - before[name] for name in after}
    problems = [*status_differences(expected["state"], rows)]
    messages = expected["messages"]
    if messages is not None:
        allowed = messages if isinstance(messages, list) else [messages]
        if added["messages"] not in allowed:
            problems.append(f"{added['messages']} messages, not {messages}")
    is_parsed = any(row.status == "parsed" for row in rows)
    if is_parsed or expected["state"] != "either":
        facts = {**added, **texts(rows[0].account_id, set(expected["facts"]))}
        problems += [
            f"{name} is {facts[name]!r}, not {value!r}"
            for name, value in expected["facts"].items()
            if facts[name] not in as_list(value) and value not in as_list(facts[name])
        ]
    return problems


def status_differences(state: str, rows: list[ReportFile]) -> list[str]:
    statuses = [row.status for row in rows]
    shown = ", ".join(f"{row.status}({row.reason}: {row.detail})" for row in rows)
    rejected = [row for row in rows if row.status == "rejected"]
    problems = [f"no clear reason: {shown}" for row in rejected if not (row.reason and row.detail)]
    match state:
        case "parsed":
            is_right = "parsed" in statuses
        case "parsed-only":
            is_right = set(statuses) == {"parsed"}
        case "rejected":
            is_right = len(rejected) == len(rows)
        case "quiet" | "either":
            is_right = set(statuses) <= {"parsed", "rejected"}
        case _:
            is_right = set(statuses) == {state}
    return problems if is_right else [*problems, f"not {state}: {shown}"]


def texts(account_id: UUID, names: set[str]) -> dict[str, Any]:
    """The facts of these names that are not sums."""
    columns: Mapping[str, Any] = {
        "orgName": DmarcReport.org_name,
        "reason": DmarcRecord.reasons,
        "ip": FailureReport.source_ip,
    }
    values = {}
    with transaction(readonly=True) as session:
        for name in names & set(columns):
            column = columns[name]
            rows = session.scalars(select(column).where(column.class_.account_id == account_id))
            values[name] = list(rows)
    if "reason" in values:
        values["reason"] = [reason["type"] for row in values["reason"] for reason in row or ()]
    return values


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
