"""Over reports with odd records: every view sums up what was read, and the rest is skipped."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from app.services.filing import processor
from app.services.ingest import files
from tests.support.api_client import Client
from tests.support.factories import make_domain
from tests.support.report_documents import DAY, YESTERDAY, dmarc_xml, record, tls_json

REPORTERS = ("receiver.test", "other.test", "third.test")
PERIOD = "from=2000-01-01T00:00:00Z"
GROUPS = ("source", "reporter", "disposition", "headerFrom", "result")

# Ways to break a record, with the reason, and whether its count can still be read.
ODD: Sequence[tuple[Callable[[str], str], str, bool]] = (
    (
        lambda text: re.sub("<source_ip>.*?</source_ip>", "<source_ip>?</source_ip>", text),
        "bad_source_ip",
        True,
    ),
    (lambda text: re.sub("<header_from>.*?</header_from>", "", text), "missing_element", True),
    (lambda text: re.sub("<count>.*?</count>", "<count>many</count>", text), "bad_number", False),
    (lambda text: re.sub("<count>.*?</count>", "", text), "missing_element", False),
)


@dataclass
class Expected:
    """What was generated: messages or sessions, of readable and of odd records."""

    read: int = 0
    passed: int = 0
    records: int = 0
    skipped: int = 0
    skipped_messages: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    partial: int = 0


Values = dict[str, Any]  # of a record
Odd = tuple[Values, tuple[Callable[[str], str], str, bool]]


def dmarc_reports(generator: random.Random, expected: Expected) -> list[bytes]:
    """Aggregate reports; a partial one sometimes arrives a second time, or completely."""
    documents = []
    for number in range(generator.randint(3, 8)):
        good, odd, texts = dmarc_records(generator, number)
        days = generator.randint(1, 20)
        head: Values = {
            "report_id": f"r{number}",
            "org": generator.choice(REPORTERS),
            "begin": YESTERDAY - days * DAY,
            "end": YESTERDAY - days * DAY + generator.choice((1, 1, 3)) * DAY - 1,
        }
        everything = [*good, *(values for values, _ in odd)]
        partial = dmarc_xml(**head, records=texts)
        complete = dmarc_xml(**head, records=[record(**values) for values in everything])
        arrivals = generator.choice(
            ([partial], [partial, partial + b"\n"], [partial, complete], [complete, partial])
        )
        documents += arrivals
        count(expected, *((everything, []) if complete in arrivals else (good, odd)))
    return documents


def dmarc_records(
    generator: random.Random, number: int
) -> tuple[list[Values], list[Odd], list[str]]:
    """The readable and the odd records of a report, and the texts of all."""
    good, odd, texts = [], [], []
    for position in range(generator.randint(1, 6)):
        values: Values = {
            "ip": f"192.0.2.{10 * number + position}",
            "count": generator.randint(0, 50),
            "dkim": generator.choice(("pass", "fail")),
            "spf": generator.choice(("pass", "fail")),
        }
        text = record(**values)
        if position and generator.random() < 0.4:
            damage = generator.choice(ODD)
            odd.append((values, damage))
            text = damage[0](text)
        else:
            good.append(values)
        texts.append(text)
    return good, odd, texts


def count(expected: Expected, good: Sequence[Values], odd: Sequence[Odd]) -> None:
    """Add a stored report."""
    passed = [values for values in good if "pass" in (values["dkim"], values["spf"])]
    expected.records += len(good)
    expected.read += sum(values["count"] for values in good)
    expected.passed += sum(values["count"] for values in passed)
    expected.skipped += len(odd)
    expected.skipped_messages += sum(
        values["count"] for values, (_, _, is_readable) in odd if is_readable
    )
    expected.reasons.update(reason for _, (_, reason, _) in odd)
    expected.partial += bool(odd)


def tls_reports(generator: random.Random, expected: Expected) -> list[bytes]:
    """TLS reports with policies that cannot be read; ``passed`` is for successful sessions."""
    documents = []
    for number in range(generator.randint(3, 8)):
        document = json.loads(tls_json(report_id=f"t{number}"))
        policies, is_partial = [], False
        for position in range(generator.randint(1, 5)):
            successful, failed = generator.randint(0, 50), generator.randint(0, 5)
            policy: dict[str, Any] = {
                "policy": {"policy-type": "sts", "policy-domain": "acme.test"},
                "summary": {
                    "total-successful-session-count": successful,
                    "total-failure-session-count": failed,
                },
            }
            kind = generator.choice(("good", "good", "domain", "count")) if position else "good"
            if kind == "domain":
                policy["policy"]["policy-domain"] = "no domain!"
                expected.skipped_messages += successful + failed
                expected.reasons["bad_domain"] += 1
            elif kind == "count":
                policy["summary"]["total-successful-session-count"] = "many"
                expected.skipped_messages += failed
                expected.reasons["bad_number"] += 1
            else:
                expected.read += successful + failed
                expected.passed += successful
                expected.records += 1
            expected.skipped += kind != "good"
            is_partial |= kind != "good"
            policies.append(policy)
        document["policies"] = policies
        documents.append(json.dumps(document).encode())
        expected.partial += is_partial
    return documents


def take(client: Client, generator: random.Random, documents: Sequence[bytes]) -> None:
    """Store and process the files, some of them together."""
    make_domain(client.account_id, "acme.test")
    for document in documents:
        files.store(client.account_id, document, received_via="upload")
        if generator.random() < 0.7:
            processor.run([])
    processor.run([])


def exported(client: Client, path: str) -> list[dict[str, Any]]:
    """All rows of a list."""
    response = client("GET", f"{path}&format=ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


def check_lists(client: Client, route: str, expected: Expected, messages: str) -> None:
    """The reports, and the filter of partial ones, have what was skipped."""
    reports = exported(client, f"/v1/reports/{route}?")
    skipped = [report["skippedRecords"] for report in reports]
    assert sum(item["count"] for item in skipped) == expected.skipped
    assert sum(item[messages] for item in skipped) == expected.skipped_messages
    reasons = sum((Counter(item["reasons"]) for item in skipped), Counter[str]())
    assert reasons == expected.reasons
    for flag in (True, False):
        listed = exported(client, f"/v1/reports/{route}?partial={str(flag).lower()}")
        assert listed == [report for report in reports if report["partial"] is flag]
        assert all((report["skippedRecords"]["count"] > 0) is flag for report in listed)


@pytest.mark.parametrize("seed", range(6))
def test_read_and_skipped_messages_are_those_of_the_files(client: Client, seed: int) -> None:
    generator, expected = random.Random(seed), Expected()
    take(client, generator, dmarc_reports(generator, expected))
    check_lists(client, "dmarc", expected, "messages")
    reports = exported(client, "/v1/reports/dmarc?")
    assert sum(report["messages"] for report in reports) == expected.read
    assert sum(report["passed"] for report in reports) == expected.passed
    assert sum(report["recordCount"] for report in reports) == expected.records
    records = exported(client, f"/v1/reports/dmarc/records?domain=acme.test&{PERIOD}")
    assert len(records) == expected.records
    assert sum(row["countInPeriod"] for row in records) == expected.read


@pytest.mark.parametrize("seed", range(6))
def test_every_figure_of_analytics_is_of_read_records(client: Client, seed: int) -> None:
    generator, expected = random.Random(seed), Expected()
    take(client, generator, dmarc_reports(generator, expected))
    window = f"domain=acme.test&from={_text(YESTERDAY - 30 * DAY)}"

    def get(route: str) -> Any:
        answer = client.data("GET", f"/v1/reports/analytics/{route}")
        assert answer["partialReports"] == expected.partial
        return answer

    for group_by in GROUPS:
        answer = get(f"dmarc?{window}&groupBy={group_by}")
        assert answer["totals"]["messages"] == expected.read
        assert answer["totals"]["passed"] == expected.passed
        assert sum(item["messages"] for item in answer["series"]) == expected.read
        groups = [*answer["groups"], answer["other"]]
        assert sum(group["messages"] for group in groups) == expected.read
    sources = get(f"sources?{window}")
    assert sources["messages"] == expected.read
    assert sum(row["messages"] for row in sources["sources"]) == expected.read
    reporters = get(f"reporters?{window}")["reporters"]
    assert sum(row["messages"] for row in reporters) == expected.read
    body = {"domain": "acme.test", "from": _text(YESTERDAY - 30 * DAY)}
    simulated = client.data("POST", "/v1/reports/analytics/simulate", json=body)
    assert (simulated["messages"], simulated["passed"]) == (expected.read, expected.passed)


@pytest.mark.parametrize("seed", range(6))
def test_sessions_of_tls_reports_are_read_or_skipped(client: Client, seed: int) -> None:
    generator, expected = random.Random(seed), Expected()
    take(client, generator, tls_reports(generator, expected))
    check_lists(client, "tls-rpt", expected, "sessions")
    answer = client.data("GET", "/v1/reports/analytics/tls-rpt?domain=acme.test")
    assert answer["partialReports"] == expected.partial
    failed = expected.read - expected.passed
    for sessions in (
        [answer["totals"]],
        answer["series"],
        answer["policyTypes"],
        answer["reporters"],
        exported(client, f"/v1/reports/tls-rpt/records?domain=acme.test&{PERIOD}"),
    ):
        assert sum(item["successful"] for item in sessions) == expected.passed
        assert sum(item["failed"] for item in sessions) == failed


def _text(at: int) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"
