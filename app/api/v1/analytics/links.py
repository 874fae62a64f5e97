"""Where what is behind a figure of analytics is listed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urlencode

from app.analysis.mail.periods import Window, at
from app.analysis.mail.record_query import RecordQueryResult
from app.api.http import responses
from app.models import Domain

Filter = Mapping[str, str]
_GROUPS = {
    "source": "sourceIp",
    "reporter": "reporter",
    "disposition": "disposition",
    "headerFrom": "headerFrom",
}
_RESULTS: Mapping[str, Filter] = {
    "dkim_and_spf": {"dkim": "pass", "spf": "pass"},
    "dkim": {"dkim": "pass", "spf": "fail"},
    "spf": {"dkim": "fail", "spf": "pass"},
    "fail": {"result": "fail"},
}


class Links:
    """Addresses of lists of records for a domain in a window of time.

    kind  of the reports: dmarc, tls-rpt
    """

    def __init__(
        self, domain: Domain, window: Window, kind: Literal["dmarc", "tls-rpt"] = "dmarc"
    ) -> None:
        self._domain, self._window, self._kind = domain, window, kind
        self._records = self._to(window)

    def records(self, **filters: str) -> str:
        """Records of which what is counted adds up to the figure."""
        return _with(self._records, filters)

    def listed(self, found: RecordQueryResult) -> dict[str, Any]:
        """The records behind a figure, and whether they are what it counts and no other."""
        return {"recordsUrl": self.records(**found.filters), "recordsUrlExact": found.is_exact}

    def before(self) -> str:
        """The records of the time before, which is as long."""
        return self._to(self._window.before)

    def group(self, by: str, key: str) -> str:
        """The records of a group."""
        return self.records(**(_RESULTS[key] if by == "result" else {_GROUPS[by]: key}))

    def _to(self, window: Window) -> str:
        where = {
            "domain": self._domain.name,
            "from": _text(at(window.start)),
            "to": _text(at(window.stop)),
        }
        return f"/v1/reports/{self._kind}/records?{urlencode(where)}"


def _with(address: str, filters: Filter) -> str:
    return f"{address}&{urlencode(filters)}" if filters else address


def _text(moment: datetime) -> str:
    return responses.time(moment) or ""
