"""Filters of record lists, as values and as query parameters.

The API, the dashboard, the exports and the links behind figures name the same filters in the same
way: the query parameter of a field is the field's name in camel case.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.analysis.mail.periods import Window

MAX_ADDRESSES = 50  # in the filter of one record list
NOT_PASS = "not_pass"  # a filter value that matches every result but pass
RESULTS = ("pass", "fail")

# The fields by query parameter, in the order of URLs.
_FIELDS: Mapping[str, str] = {
    "sourceIp": "source_ips",
    "provenance": "provenance",
    "result": "result",
    "dkim": "dkim",
    "spf": "spf",
    "disposition": "disposition",
    "headerFrom": "header_from",
    "subdomainsOnly": "subdomains_only",
    "dkimDomain": "dkim_domain",
    "dkimSelector": "dkim_selector",
    "dkimResult": "dkim_result",
    "spfDomain": "spf_domain",
    "spfResult": "spf_result",
    "reporter": "reporter",
}
_TLS_FIELDS: Mapping[str, str] = {
    "policyType": "policy_type",
    "resultType": "result_type",
    "mx": "mx",
    "hasMx": "has_mx",
    "provenance": "provenance",
    "reporter": "reporter",
}


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """A filter of DMARC report records; a field without a value matches every record.

    source_ips       one of these addresses
    result           ``pass`` or ``fail``: the DMARC result
    dkim, spf        ``pass`` or ``fail``: the result of the method in alignment
    subdomains_only  only mail from names below the domain
    dkim_…, spf_…    together a property of one raw result in the report; a result may be NOT_PASS
    provenance       the provenance of the report, or ``trusted``
    """

    source_ips: tuple[str, ...] = ()
    provenance: str | None = None
    result: str | None = None
    dkim: str | None = None
    spf: str | None = None
    disposition: str | None = None
    header_from: str | None = None
    subdomains_only: bool = False
    dkim_domain: str | None = None
    dkim_selector: str | None = None
    dkim_result: str | None = None
    spf_domain: str | None = None
    spf_result: str | None = None
    reporter: str | None = None

    def to_query(self) -> dict[str, str]:
        """Return the query parameters of a list with this filter."""
        return _query(self, _FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> "RecordFilter":
        """Return the filter with these query parameters; other parameters are ignored.

        query  text as in a URL, or values that are parsed already
        """
        values = _values(query, _FIELDS)
        values["subdomains_only"] = _boolean(values.get("subdomains_only")) is True
        if addresses := values.get("source_ips"):
            values["source_ips"] = tuple(addresses.split(","))
        return cls(**values)


@dataclass(frozen=True, slots=True)
class TlsRecordFilter:
    """A filter of TLS report records: the policies, and the failures that are listed for each.

    result_type, mx, has_mx  only policies with such failures, and only these failures: of this
                             type, with this MX host, with any or (False) without an MX host
    """

    policy_type: str | None = None
    result_type: str | None = None
    mx: str | None = None
    has_mx: bool | None = None
    provenance: str | None = None
    reporter: str | None = None

    def to_query(self) -> dict[str, str]:
        """Return the query parameters of a list with this filter."""
        return _query(self, _TLS_FIELDS)

    @classmethod
    def from_query(cls, query: Mapping[str, Any]) -> "TlsRecordFilter":
        """Return the filter with these query parameters; other parameters are ignored.

        query  text as in a URL, or values that are parsed already
        """
        values = _values(query, _TLS_FIELDS)
        values["has_mx"] = _boolean(values.get("has_mx"))
        return cls(**values)


ALL = RecordFilter()


@dataclass(frozen=True, slots=True)
class RecordUrls:
    """The URLs of a domain's record lists for the figures of one window.

    url_for  returns the URL of the list of a window with these query parameters
    """

    window: Window
    url_for: Callable[[Window, Mapping[str, str]], str]

    def url(self, filter: RecordFilter | TlsRecordFilter = ALL) -> str:
        """Return the URL of the records of the window that match the filter."""
        return self.url_for(self.window, filter.to_query())

    def previous(self) -> str:
        """Return the URL of all records of the previous window of the same length."""
        return self.url_for(self.window.before, {})

    def within(self, start: int, stop: int, filter: RecordFilter | TlsRecordFilter = ALL) -> str:
        """Return the URL of the matching records of some hours of the window."""
        part = Window(max(start, self.window.start), min(stop, self.window.stop))
        return self.url_for(part, filter.to_query())


def _query(filter: RecordFilter | TlsRecordFilter, fields: Mapping[str, str]) -> dict[str, str]:
    query = {}
    for name, field in fields.items():
        value = getattr(filter, field)
        if value not in (None, "", ()) and (name, value) != ("subdomainsOnly", False):
            query[name] = _text(value)
    return query


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple) else value


def _values(query: Mapping[str, Any], fields: Mapping[str, str]) -> dict[str, Any]:
    values = ((field, query.get(name)) for name, field in fields.items())
    return {field: value for field, value in values if value not in (None, "")}


def _boolean(value: Any) -> bool | None:
    return {"true": True, True: True, "false": False, False: False}.get(value)
