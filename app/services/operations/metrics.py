"""Metrics of the service: what all processes have counted, and what is waiting now."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from app import settings
from app.db import transactions
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.jobs import queue
from app.metrics import increments
from app.metrics.definitions import COUNTERS, HISTOGRAMS, HTTP_REQUESTS, INITIAL_CODES
from app.metrics.increments import Totals
from app.metrics.instruments import Counter, Histogram
from app.services.operations import backlog, domain_metrics
from app.services.operations.build import VERSION

PREFIX = "mailwatch_"


class ServiceCollector(Collector):
    """Collects all metrics.

    While Redis or the database is unavailable, the metrics that are stored there have no samples,
    and ``redis_up`` or ``database_up`` is 0.

    routes  the rules of the web process, whose samples exist at zero
    """

    def __init__(self, routes: Sequence[str] = ()) -> None:
        self._initial_routes = [(route, code) for route in routes for code in INITIAL_CODES]

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics with their current values."""
        yield _gauge(
            "build_info",
            "The version of the web process; the value is always 1",
            ["version", "python"],
            [(VERSION, platform.python_version(), 1)],
        )
        yield from self._of_redis()
        yield from _of_database()

    def _of_redis(self) -> Iterator[Metric]:
        totals = increments.totals()
        seen = queue.seen_at()
        yield _gauge("redis_up", "Whether Redis answers", [], [(int(totals is not None),)])
        if totals is not None:
            for counter in COUNTERS:
                initial = self._initial_routes if counter is HTTP_REQUESTS else ()
                yield _counter(counter, totals, initial)
            for histogram in HISTOGRAMS:
                yield _histogram(histogram, totals)
        if seen is not None:
            clock = seen[queue.CLOCK]
            workers = [(name, seen[name]) for name in queue.QUEUES]
            summary = "When the clock process last ran its tasks, in epoch seconds; 0: never"
            yield _gauge("clock_last_tick_timestamp_seconds", summary, [], [(clock,)])
            summary = "When a worker of the queue was last seen, in epoch seconds; 0: never"
            yield _gauge("worker_last_seen_timestamp_seconds", summary, ["queue"], workers)
        lengths = [(name, queue.length(name)) for name in queue.QUEUES]
        known_lengths = [(name, length) for name, length in lengths if length is not None]
        yield _gauge("queue_jobs", "Jobs waiting in Redis", ["queue"], known_lengths)


def _of_database() -> Iterator[Metric]:
    try:
        metrics = list(_read())
    except ServiceUnavailable:
        metrics = []
    yield _gauge("database_up", "Whether the database answers", [], [(int(bool(metrics)),)])
    yield from metrics


def _read() -> Iterator[Metric]:
    with transaction(readonly=True) as session:
        now = transactions.now(session)
        backlogs = list(backlog.read(session, now))
        running = backlog.running_scans(session)
        failed = backlog.failed_rollups(session)
        alerts = backlog.open_alerts(session)
        domains = domain_metrics.read(session, settings.current().metrics_domains, now)
    labels = ["queue", "work"]
    counts = [(item.queue, item.work, item.count) for item in backlogs]
    yield _gauge("queue_items", "Waiting items, counted up to 10,000", labels, counts)
    ages = [(item.queue, item.work, item.seconds(now)) for item in backlogs]
    yield _gauge("queue_oldest_seconds", "Age of the oldest waiting item; 0: none", labels, ages)
    yield _gauge("scans_running", "Running scans, counted up to 10,000", [], [(running,)])
    summary = "Reports that could not be added to the analytics, of the 10,000 oldest in the queue"
    yield _gauge("rollups_failed", summary, [], [(failed,)])
    summary = "Open alerts, of at most 10,000 alerts that are not resolved"
    yield _gauge("alerts_open", summary, ["severity"], alerts.items())
    yield from _domains(domains)


def _domains(domains: Sequence[domain_metrics.DomainFigures]) -> Iterator[Metric]:
    labels = ["account", "domain"]
    scores = [(item.account, item.domain, item.score) for item in domains if item.score is not None]
    yield _gauge("domain_score", "The score of the domain, from 0 to 100", labels, scores)
    rates = [
        (item.account, item.domain, item.pass_rate)
        for item in domains
        if item.pass_rate is not None
    ]
    summary = "Share of messages of the last 7 days that pass DMARC, from 0 to 1"
    yield _gauge("domain_dmarc_pass_rate", summary, labels, rates)


def _counter(counter: Counter, totals: Totals, initial: Sequence[tuple[str, ...]]) -> Metric:
    family = CounterMetricFamily(PREFIX + counter.name, counter.summary, labels=counter.labels)
    for values, total in counter.samples(totals, initial):
        family.add_metric(values, total)
    return family


def _histogram(histogram: Histogram, totals: Totals) -> Metric:
    name = PREFIX + histogram.name
    family = HistogramMetricFamily(name, histogram.summary, labels=histogram.labels)
    for values, buckets, total in histogram.samples(totals):
        family.add_metric(values, buckets, total)
    return family


def _gauge(name: str, summary: str, labels: Sequence[str], rows: Iterable[Any]) -> Metric:
    """Return a gauge; a row is the value of each label, and the number."""
    gauge = GaugeMetricFamily(PREFIX + name, summary, labels=labels)
    for *values, number in rows:
        gauge.add_metric(values, number)
    return gauge
