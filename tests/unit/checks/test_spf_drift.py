"""The spf check reports services whose includes list other senders than before."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.engine.types import Finding, Subject, Verdict
from app.checks.spf import spf
from app.protocols.names import DomainName
from tests.support.zones import Zone

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SUBJECT = Subject(DomainName("example.org"), now=NOW)
RECORD = "v=spf1 include:a.example.net include:_own.example.org -all"
BEFORE: dict[Any, Any] = {
    "example.org": [RECORD],
    "_own.example.org": ["v=spf1 ip4:192.0.2.1 -all"],
    "a.example.net": ["v=spf1 include:b.example.net ip4:198.51.100.1 -all"],
    "b.example.net": ["v=spf1 ip4:198.51.100.2 -all"],
}


async def run_spf_drift(subject: Subject, **texts: str) -> tuple[Any, Sequence[Finding]]:
    """Facts and findings, with these records instead of the previous ones; ``_`` is a dot."""
    data = BEFORE | {f"{name}.example.net": [text] for name, text in texts.items()}
    outcome = await spf.run(subject, Zone(data))
    findings = [
        finding for finding in outcome.findings if finding.kind.code == "spf.vendor_include_drift"
    ]
    return outcome.facts, findings


async def later(days: float = 1, facts: Any = None) -> Subject:
    """The subject of a later scan."""
    last_results = {"spf": facts if facts is not None else (await run_spf_drift(SUBJECT))[0]}
    return replace(SUBJECT, last_facts=last_results, now=NOW + timedelta(days=days))


@pytest.mark.parametrize(
    "texts",
    [
        {"b": "v=spf1 ip4:198.51.100.2 ip4:198.51.100.3 -all"},
        {"b": "v=spf1 ip4:198.51.100.9 -all"},
        {"a": "v=spf1 include:b.example.net -all"},
        {"a": "v=spf1 ip4:198.51.100.1 ip4:198.51.100.2 -all"},
    ],
)
async def test_change_of_an_included_list_at_any_depth_is_reported(texts: dict[str, str]) -> None:
    _, findings = await run_spf_drift(await later(), **texts)
    assert [finding.subject for finding in findings] == ["a.example.net"]
    assert findings[0].evidence["term"] == "include:a.example.net"


async def test_order_of_terms_is_no_change() -> None:
    _, findings = await run_spf_drift(
        await later(), a="v=spf1 ip4:198.51.100.1 include:b.example.net -all"
    )
    assert findings == []


async def test_first_scan_and_change_of_own_record_are_no_drift() -> None:
    assert (await run_spf_drift(SUBJECT))[1] == []
    data = BEFORE | {"_own.example.org": ["v=spf1 ip4:192.0.2.7 -all"]}
    outcome = await spf.run(await later(), Zone(data))
    assert "spf.vendor_include_drift" not in {finding.kind.code for finding in outcome.findings}


@pytest.mark.parametrize(("days", "is_reported"), [(7, True), (7.5, False)])
async def test_change_is_reported_for_a_week(days: float, is_reported: bool) -> None:
    texts = {"b": "v=spf1 ip4:198.51.100.9 -all"}
    facts, _ = await run_spf_drift(await later(1), **texts)
    _, findings = await run_spf_drift(await later(1 + days, facts), **texts)
    assert bool(findings) == is_reported


async def test_drift_leaves_verdict_ok() -> None:
    outcome = await spf.run(
        await later(), Zone(BEFORE | {"b.example.net": ["v=spf1 ip4:198.51.100.9 -all"]})
    )
    assert outcome.verdict is Verdict.OK
    assert outcome.findings


async def test_incomplete_list_is_not_compared() -> None:
    facts, findings = await run_spf_drift(await later(), b="v=spf1 nonsense -all")
    assert findings == []
    assert "a.example.net" not in facts["vendors"]


@pytest.mark.parametrize("vendors", ["…", {"a.example.net": {"sha256": "?", "terms": 1}}, {}])
async def test_malformed_previous_facts_are_ignored(vendors: Any) -> None:
    _, findings = await run_spf_drift(await later(1, {"vendors": vendors}))
    assert len(findings) == (vendors != {} and vendors != "…")


async def test_truncated_timestamp_is_ignored() -> None:
    facts, _ = await run_spf_drift(SUBJECT)
    facts["vendors"]["a.example.net"] |= {"changed_at": "2026-0… [cut]", "terms_before": 1}
    assert (await run_spf_drift(await later(1, facts)))[1] == []
