"""The tools: each is a route of the API that only reads, with the arguments that it takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from app.api.http import fields
from app.api.mcp import schemas, shapes
from app.checks import CHECKS

_CHECKS: list[Any] = [check.name for check in CHECKS]


def _is_check(name: str) -> str:
    if name not in _CHECKS:
        raise ValueError(f"choose from: {', '.join(_CHECKS)}")
    return name


DOMAIN = Annotated[fields.Name, Field(description="The id or the name of the domain.")]
ID = Annotated[fields.Text, Field(description="The id of the alert, as in list_alerts.")]
CHECK = Annotated[
    str,
    AfterValidator(_is_check),
    Field(description="The name of the check.", json_schema_extra={"enum": _CHECKS}),
]
CODE = Annotated[
    fields.Text,
    Field(description="A finding code or alert type, such as dmarc.missing."),
]
PAGE, PERIOD = ("limit", "cursor"), ("from_at", "to_at")


@dataclass(frozen=True, slots=True, eq=False)
class Tool:
    """A tool that returns the data of a route.

    endpoint  the Flask endpoint of the route, whose scopes it needs
    path      the type of each argument that is a part of the path
    query     the parameters of the query string that are arguments, by the names of their fields
    own       the type of each argument of ``shape``
    fixed     parameters of the query string with the same value in every call
    shape     returns the data of the tool, from those of the route and the arguments
    returns   the schema of that; None: the data of the route
    """

    name: str
    title: str
    description: str
    endpoint: str
    path: Mapping[str, Any]
    query: tuple[str, ...] = ()
    own: Mapping[str, Any] | None = None
    fixed: Mapping[str, Any] | None = None
    shape: Callable[[Any, Mapping[str, Any]], Any] | None = None
    returns: type[BaseModel] | None = None


_ALL = (
    Tool(
        name="list_domains",
        title="List domains",
        description="List the monitored domains with their score, grade, last scan and open "
        "alerts. Begin here to find the names of domains.",
        endpoint="v1.domains.index",
        path={},
        query=("q", "tag", "grade", "verified", "sort", *PAGE),
        fixed={"include": "openAlerts"},
    ),
    Tool(
        name="get_domain_posture",
        title="Get the posture of a domain",
        description="Get the latest verdict of every check of a domain (DMARC, SPF, DKIM, MTA-STS, "
        "TLS-RPT, DANE, BIMI and others), the findings with what to do, and the score. "
        "Undetermined means that a lookup failed; it does not mean that a record is missing.",
        endpoint="v1.dns.status",
        path={"domain": DOMAIN},
        shape=shapes.posture,
        returns=schemas.Posture,
    ),
    Tool(
        name="get_check_evidence",
        title="Get the evidence of a check",
        description="Get one check of a domain with its evidence: the DNS queries and answers, the "
        "facts that the check learned, and the observations behind each finding.",
        endpoint="v1.dns.status",
        path={"domain": DOMAIN},
        own={"check": CHECK},
        shape=shapes.evidence,
        returns=schemas.CheckEvidence,
    ),
    Tool(
        name="get_fixes",
        title="Get the fixes of a domain",
        description="Get the DNS changes that solve the findings of a domain, each with its "
        "rollback, also as zone file, octoDNS, Terraform and nsupdate. Nothing is published: show "
        "the changes to the user.",
        endpoint="v1.fixes.index",
        path={"domain": DOMAIN},
    ),
    Tool(
        name="get_policy_readiness",
        title="Get the readiness for a stricter DMARC policy",
        description="Get the verdict on whether the DMARC policy of a domain can become stricter, "
        "with the reason, the senders that block it, and the record to publish. Do not advise a "
        "stricter policy than the verdict does.",
        endpoint="v1.analytics.readiness",
        path={},
        query=("domain", *PERIOD, "tz"),
    ),
    Tool(
        name="list_senders",
        title="List the senders of a domain",
        description="List who sends email as a domain, according to DMARC reports: services and "
        "sources with their classification, messages, pass rate, addresses and signatures, and "
        "SPF terms and DKIM selectors without use.",
        endpoint="v1.analytics.sources",
        path={},
        query=("domain", *PERIOD, "tz", "limit"),
    ),
    Tool(
        name="get_dmarc_summary",
        title="Summarize DMARC reports",
        description="Get the messages of a domain by DMARC result and disposition, as totals and "
        "over time, compared with the previous period, by default of the last 30 days.",
        endpoint="v1.analytics.dmarc",
        path={},
        query=("domain", *PERIOD, "tz", "interval", "group_by"),
    ),
    Tool(
        name="get_tls_summary",
        title="Summarize TLS reports",
        description="Get the successful and failed TLS sessions with the mail servers of a domain, "
        "by policy, failure and MX host, by default of the last 30 days.",
        endpoint="v1.analytics.tls",
        path={},
        query=("domain", *PERIOD, "tz", "interval"),
    ),
    Tool(
        name="list_alerts",
        title="List alerts",
        description="List alerts, newest first, with severity, status, evidence and what to do. "
        "Use status=open for what needs attention.",
        endpoint="v1.alerts.index",
        path={},
        query=("status", "severity", "type", "domain", *PERIOD, *PAGE),
    ),
    Tool(
        name="get_alert",
        title="Get an alert",
        description="Get one alert with its evidence and what to do.",
        endpoint="v1.alerts.show",
        path={"id": ID},
    ),
    Tool(
        name="list_dmarc_reports",
        title="List DMARC reports",
        description="List received aggregate reports with their reporter, period, policy and "
        "numbers of messages, newest first.",
        endpoint="v1.reports.dmarc_index",
        path={},
        query=("domain", "reporter", *PERIOD, "result", "source_ip", *PAGE),
    ),
    Tool(
        name="list_tls_reports",
        title="List TLS reports",
        description="List received TLS reports with their reporter and period, newest first.",
        endpoint="v1.reports.tls_index",
        path={},
        query=("domain", "reporter", *PERIOD, "result_type", *PAGE),
    ),
    Tool(
        name="explain_code",
        title="Explain a finding code",
        description="Explain a finding code or an alert type: what it means, why it matters, what "
        "to do, and the section of the standard.",
        endpoint="v1.checks.index",
        path={},
        own={"code": CODE},
        shape=shapes.explanation,
        returns=schemas.Explanation,
    ),
)
TOOLS = {tool.name: tool for tool in _ALL}
