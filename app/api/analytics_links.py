"""Where what is behind a figure of analytics is listed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode

from app.api import answers
from app.insight.periods import Window, at
from app.models import Domain

HALF_A_DAY = timedelta(hours=12)

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
    """Addresses of lists for a domain in a window of time."""

    def __init__(self, domain: Domain, window: Window) -> None:
        self._domain, self._window = domain, window
        self._records = self._to("dmarc/records", window)

    def records(self, **filters: str) -> str:
        """Records whose ``counted`` add up to the figure."""
        return _with(self._records, filters)

    def before(self) -> str:
        """The records of the time before, which is as long."""
        return self._to("dmarc/records", self._window.before)

    def group(self, by: str, key: str) -> str:
        """The records of a group."""
        return self.records(**(_RESULTS[key] if by == "result" else {_GROUPS[by]: key}))

    def tls(self, **filters: str) -> str:
        """TLS reports; whole ones, so that their sessions add up to the figure or more.

        They are listed by when a period begins, and counted at its middle: half a day later.
        """
        return _with(self._to("tls-rpt", self._window, -HALF_A_DAY), filters)

    def _to(self, path: str, window: Window, shift: timedelta = timedelta()) -> str:
        where = {
            "domain": self._domain.name,
            "from": _text(at(window.start) + shift),
            "to": _text(at(window.stop) + shift),
        }
        return f"/v1/reports/{path}?{urlencode(where)}"


def _with(address: str, filters: Filter) -> str:
    return f"{address}&{urlencode(filters)}" if filters else address


def _text(moment: datetime) -> str:
    return answers.time(moment) or ""
