"""The URLs of the record lists behind figures."""

from functools import partial
from typing import Any, Literal
from urllib.parse import urlencode

from app.analysis.mail.flow_index import RecordLink
from app.analysis.mail.periods import Window, at
from app.analysis.mail.record_filter import RecordUrls
from app.api.http import responses
from app.models import Domain


def record_urls(
    domain: Domain, window: Window, kind: Literal["dmarc", "tls-rpt"] = "dmarc"
) -> RecordUrls:
    """Return the URLs of the domain's records in the window.

    kind  the kind of reports
    """
    return RecordUrls(window, partial(_url, domain.name, kind))


def linked(urls: RecordUrls, link: RecordLink) -> dict[str, Any]:
    """Return the fields of a figure that lead to its records."""
    return {"recordsUrl": urls.url(link.filter), "recordsUrlExact": link.is_exact}


def _url(domain: str, kind: str, window: Window, filters: dict[str, str]) -> str:
    period = {"from": responses.time(at(window.start)), "to": responses.time(at(window.stop))}
    query = {"domain": domain, **period, **filters}
    return f"/v1/reports/{kind}/records?{urlencode(query)}"
