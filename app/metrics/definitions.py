"""What is counted; docs/operating.md explains each metric."""

import itertools

from app.metrics.instruments import Counter, Histogram
from app.protocols.report_formats import deviations

UNMATCHED = "unmatched"  # the route of all requests that no rule matches
# Codes whose samples exist at zero for each route, so that the first error is an increase.
INITIAL_CODES = ("200", "500", "503")
API, API_WAIT, DASHBOARD, INGEST, OTHER = "api", "api_wait", "dashboard", "ingest", "other"
RESOLVER, NAME_SERVER = "resolver", "name_server"
DNS_OUTCOMES = ("noerror", "nxdomain", "servfail", "refused", "timeout", "network", "garbage")

HTTP_REQUESTS = Counter(
    name="http_requests",
    summary="Requests that the application answered, by the rule that matched",
    labels=("route", "code"),
    initial=((UNMATCHED, "404"),),
)
HTTP_SECONDS = Histogram(
    name="http_request_duration_seconds",
    summary="Time until the response began",
    labels=("area",),
    bounds=(0.01, 0.05, 0.1, 0.25, 1, 5),
    initial=((API,), (API_WAIT,), (DASHBOARD,), (INGEST,), (OTHER,)),
)
SCANS = Counter(
    name="scans",
    summary="Finished scans",
    labels=("status",),
    initial=(("completed",), ("failed",), ("cancelled",)),
)
SCAN_ATTEMPTS_LOST = Counter(
    name="scan_attempts_lost",
    summary="Attempts to scan that ended without a result",
    labels=(),
    initial=((),),
)
SCAN_SECONDS = Histogram(
    name="scan_duration_seconds",
    summary="Time from the claim of a scan until its result was stored",
    labels=(),
    bounds=(0.5, 1, 2, 5, 10, 30, 60),
)
DNS_QUERIES = Counter(
    name="dns_queries",
    summary="DNS questions by their outcome, each once, however often it was repeated",
    labels=("server", "outcome"),
    initial=tuple(itertools.product((RESOLVER, NAME_SERVER), DNS_OUTCOMES)),
)
REPORT_FILES = Counter(
    name="report_files",
    summary="Processed report files",
    labels=("status", "reason"),
    initial=(
        *(("parsed", ""), ("duplicate", ""), ("conflict", "")),
        ("unattributed", "no_verified_domain"),
        *(("rejected", reason) for reason in ("internal", "timeout", "cpu_budget", "too_large")),
        *(("rejected", reason) for reason in ("not_a_report", "no_report", "damaged")),
    ),
)
SKIPPED_RECORDS = Counter(
    name="skipped_records",
    summary="Records that could not be read in stored reports",
    labels=("kind", "reason"),
    initial=tuple(itertools.product(("dmarc", "tls"), deviations.REASONS)),
)
ALERT_EVENTS = Counter(
    name="alert_events",
    summary="Changes of alerts",
    labels=("event",),
    initial=(
        *(("opened",), ("escalated",), ("reminded",), ("acknowledged",)),
        *(("snoozed",), ("dismissed",), ("reopened",), ("resolved",)),
    ),
)
DELIVERIES = Counter(
    name="deliveries",
    summary="Attempts to deliver an event to a channel",
    labels=("outcome",),
    initial=(("sent",), ("failed",), ("abandoned",), ("skipped",)),
)
EMAILS = Counter(
    name="emails",
    summary="Emails to people",
    labels=("outcome",),
    initial=(("sent",), ("failed",), ("skipped",)),
)

COUNTERS = (
    *(HTTP_REQUESTS, SCANS, SCAN_ATTEMPTS_LOST, DNS_QUERIES, REPORT_FILES, SKIPPED_RECORDS),
    *(ALERT_EVENTS, DELIVERIES, EMAILS),
)
HISTOGRAMS = (HTTP_SECONDS, SCAN_SECONDS)
