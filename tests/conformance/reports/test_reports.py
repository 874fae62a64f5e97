"""Real and generated reports are parsed as expected, and hostile reports are rejected."""

import subprocess
import sys
from ipaddress import IPv6Address, ip_address
from typing import Any

import pytest

from app.protocols.report_formats.aggregate import AggregateReport
from tests.support.hostile_reports import HARMLESS, HOSTILE
from tests.support.report_cases import REPORTS, Case, Facts, cases, facts_of, read

MAX_GROWTH = 150  # MiB

REFUSED_FOR = {
    "dmarccat-bad.zip": "empty",
    "parsedmarc-empty-file.xml": "empty",
    "synth-billion-laughs.xml": "doctype",
    "synth-count-negative.xml": "bad_number",
    "synth-date-begin-after-end.xml": "bad_dates",
    "synth-gzip-bomb-256MiB.xml.gz": "ratio",
    "synth-mail-no-report.eml": "no_report",
    "synth-missing-policy-published.xml": "missing_element",
    "synth-missing-report-id.xml": "missing_element",
    "synth-xxe-file.xml": "doctype",
    "synth-missing-report-id.json": "missing_element",
    "synth-negative-counts.json": "bad_number",
    "synth-not-json.json.gz": "html",
}


def every(folder: str) -> list[Any]:
    return [pytest.param(case, id=case.path.name) for case in cases(folder)]


@pytest.mark.parametrize("case", [*every("dmarc"), *every("tlsrpt"), *every("ruf")])
def test_file_has_the_expected_outcome_and_content(case: Case) -> None:
    reports, refused = read(case.path.read_bytes())
    if case.expect == "reject":
        assert not reports
        assert [error.reason for error in refused] == [REFUSED_FOR[case.path.name]]
    elif case.expect == "accept":
        assert not refused
        assert len(reports) == len(case.facts)
    assert reports or refused
    for report, facts in zip(reports, case.facts, strict=bool(reports)):
        assert differences(facts_of(report), facts) == {}


def differences(actual: Facts, facts: Facts) -> dict[str, tuple[Any, Any]]:
    """The differences by name; an empty value equals none."""
    expected = dict(facts)
    addresses = {canonical(text) for text in expected.pop("source_ips_sample", ())}
    authors = set(expected.pop("header_from_sample", ()))
    incidents = expected.pop("incidents", None)
    for name in ("distinct_source_ips", "start", "end_datetime", "original_part"):
        expected.pop(name, None)
    if "policies" in expected:
        expected.pop("end", None)
    if expected.get("identity_alignment"):
        expected["identity_alignment"] = expected["identity_alignment"].replace(" ", "")
    different = {
        name: (actual[name], value)
        for name, value in expected.items()
        if (actual[name] or None) != (value or None) and actual[name] != emptied(value)
    }
    if not addresses <= actual.get("source_ips", set()):
        different["source_ips"] = (actual["source_ips"], addresses)
    if not authors <= actual.get("header_froms", set()):
        different["header_froms"] = (actual["header_froms"], authors)
    if actual.get("incidents", 1) != (incidents or 1):
        different["incidents"] = (actual["incidents"], incidents)
    return different


def emptied(value: Any) -> Any:
    """Policies that have no domain have an empty one."""
    if not isinstance(value, list):
        return value
    return [
        {**item, "policy_domain": item["policy_domain"] or ""} if isinstance(item, dict) else item
        for item in value
    ]


def canonical(text: str) -> str:
    address = ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def test_every_collected_file_has_expected_facts() -> None:
    named = {case.path for folder in ("dmarc", "tlsrpt", "ruf") for case in cases(folder)}
    there = {
        path
        for path in REPORTS.glob("*/*")
        if path.name not in ("README.md", "expected.json") and path.is_file()
    }
    assert named == there


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_rejected_with_its_reason(name: str) -> None:
    make, reason = HOSTILE[name]
    reports, refused = read(make())
    assert not reports
    assert {error.reason for error in refused} == {reason}


@pytest.mark.parametrize("name", HARMLESS)
def test_harmless_deviation_does_not_cost_the_report(name: str) -> None:
    make, warning = HARMLESS[name]
    [report], refused = read(make())
    assert not refused
    assert isinstance(report, AggregateReport)
    assert [record.count for record in report.records] == [1]
    assert list(report.warnings) == [warning] if warning else not report.warnings


def test_external_entity_is_never_read() -> None:
    _, [refused] = read((REPORTS / "dmarc" / "synth-xxe-file.xml").read_bytes())
    assert "root" not in str(refused)


def test_parsing_hostile_files_needs_little_memory() -> None:
    """Run in a separate process, which holds each file only while it is parsed."""
    command = [sys.executable, "-m", "tests.support.growth"]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    assert int(run.stdout) < MAX_GROWTH
