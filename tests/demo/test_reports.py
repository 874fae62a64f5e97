"""The sample reports of the demo: all can be parsed, and every start writes the same files."""

import time
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.protocols.report_formats.aggregate import AggregateReport
from app.protocols.report_formats.limits import ReportRejected
from app.services.filing import parsing
from demo import reports, samples

DAY = datetime.now(UTC).date()


def kinds(directory: Path) -> Counter[str]:
    counts: Counter[str] = Counter()
    for path in directory.iterdir():
        try:
            for report in parsing.read(path.read_bytes(), "", int(time.time())):
                counts[str(report.kind) if report.report else "refused"] += 1
        except ReportRejected:
            counts["refused"] += 1
    return counts


def test_samples_have_every_report_type_and_one_other_file(tmp_path: Path) -> None:
    count = reports.write(tmp_path, DAY)
    counts = kinds(tmp_path)
    assert sum(counts.values()) == count
    assert counts["dmarc"] == reports.DAYS * 9 + 1
    assert counts["tls"] == reports.DAYS * 3
    assert (counts["failure"], counts["refused"]) == (1, 1)


def test_later_start_writes_the_same_files_and_newer_ones(tmp_path: Path) -> None:
    first, again, later = (tmp_path / name for name in ("first", "again", "later"))
    reports.write(first, date(2026, 5, 1))
    reports.write(again, date(2026, 5, 1))
    reports.write(later, date(2026, 5, 1) + timedelta(days=1))
    by_name = {path.name: path.read_bytes() for path in first.iterdir()}
    assert by_name == {path.name: path.read_bytes() for path in again.iterdir()}
    dated = {path.name for path in later.iterdir() if "!" in path.name}
    assert all((later / name).read_bytes() == by_name[name] for name in dated & by_name.keys())
    assert len(dated - by_name.keys()) == 12


def test_samples_have_bursts_and_ordinary_days() -> None:
    sample = reports.SAMPLES[1]
    volumes = set()
    for number in range(17):
        day = date(2026, 5, 1) + timedelta(days=number)
        (report,) = parsing.read(reports._dmarc(sample, "bigmail.example", day), "", 2**31)
        assert isinstance(report.report, AggregateReport)
        volumes.add(len(report.report.records))
    assert len(volumes) == 2


def test_reports_are_only_about_sample_domains() -> None:
    assert {sample.name for sample in reports.SAMPLES} <= set(samples.DOMAINS)
