"""The links of the OpenAPI document: which operation follows with a value of a response."""

from collections.abc import Mapping, Sequence

from app.api.docs.components import Json
from app.api.docs.pages import Operation

_CREATED, _FIRST = "$response.body#/data/id", "$response.body#/data/0/id"
# By operation: the parameter of the operations that follow, its value, and their ids.
_LINKS: Mapping[Operation, tuple[str, str, Sequence[str]]] = {
    ("POST", "/v1/domains"): (
        "domain",
        _CREATED,
        ("domains_get", "domains_change", "dns_status", "scans_trigger", "domains_delete"),
    ),
    ("POST", "/v1/domains/{domain}/scans"): (
        "id",
        _CREATED,
        ("scans_get", "scans_compare", "scans_cancel"),
    ),
    ("POST", "/v1/scans"): ("id", _CREATED, ("scans_get_batch",)),
    ("GET", "/v1/domains"): ("domain", _FIRST, ("domains_get", "dns_history", "scans_trigger")),
    ("GET", "/v1/scans"): ("id", _FIRST, ("scans_get", "scans_compare")),
    ("GET", "/v1/alerts"): ("id", _FIRST, ("alerts_get", "alerts_history", "alerts_change")),
    ("GET", "/v1/reports/dmarc"): ("id", _FIRST, ("reports_dmarc_get", "records_of_report")),
    ("GET", "/v1/reports/tls-rpt"): ("id", _FIRST, ("reports_tls_get",)),
    ("GET", "/v1/reports/failure"): ("id", _FIRST, ("reports_failure_get",)),
    ("GET", "/v1/reports/files"): (
        "id",
        _FIRST,
        ("reports_file_get", "reports_file_raw", "reports_file_reprocess"),
    ),
}


def links(operation: Operation) -> Json:
    """Return the links of the success response of an operation."""
    if operation not in _LINKS:
        return {}
    parameter, value, followers = _LINKS[operation]
    return {
        follower: {
            "operationId": follower,
            "parameters": {parameter: value},
            "description": f"Use the id as `{parameter}`.",
        }
        for follower in followers
    }
