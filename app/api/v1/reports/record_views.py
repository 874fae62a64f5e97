"""Records of reports: of one aggregate report, and those behind a figure of analytics."""

from dataclasses import fields
from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import AfterValidator, Field

from app.analysis.mail.periods import Window
from app.analysis.mail.record_query import MAX_ADDRESSES
from app.api.http import fields as http_fields
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1.reports import exports, schemas
from app.api.v1.reports.exports import Exportable
from app.api.v1.scans.views import parsed
from app.models.keys import Scope
from app.protocols.timestamps import FIRST, LAST
from app.services.reports import dmarc_records, serialization, tls_records
from app.services.reports.dmarc_records import RecordFilter
from app.services.reports.tls_records import TlsFilter

bp = Blueprint("records", __name__, url_prefix="/reports")

READ = (Scope.REPORTS_READ,)
Result = Literal["pass", "fail"]
_FILTERS = {field.name for field in fields(RecordFilter)}


def _are_few(text: str) -> str:
    if text.count(",") >= MAX_ADDRESSES:
        raise ValueError(f"at most {MAX_ADDRESSES} addresses")
    return text


Addresses = Annotated[
    str,
    Field(min_length=1, max_length=3000, description="one address, or several with commas between"),
    AfterValidator(_are_few),
]


class RecordQuery(Exportable):
    """Which records."""

    result: Result | None = None
    source_ip: Addresses | None = None
    header_from: http_fields.Text | None = None
    disposition: http_fields.Text | None = None
    dkim: Result | None = None
    spf: Result | None = None
    dkim_domain: http_fields.Text | None = None
    dkim_selector: http_fields.Text | None = None
    dkim_result: http_fields.Text | None = None
    spf_domain: http_fields.Text | None = None
    spf_result: http_fields.Text | None = None

    @property
    def filters(self) -> RecordFilter:
        """What it asks for of a record."""
        asked = self.model_dump(include=_FILTERS & self.model_fields_set)
        addresses = tuple(self.source_ip.split(",")) if self.source_ip else ()
        return RecordFilter(source_ips=addresses, **asked)


class RecordListQuery(Exportable):
    """Which records of a domain: ``from`` and ``to`` bound when they count, as in analytics."""

    domain: http_fields.Name
    from_at: http_fields.Timestamp | None = Field(default=None, alias="from")
    to_at: http_fields.Timestamp | None = Field(default=None, alias="to")
    reporter: http_fields.Text | None = None
    provenance: Literal["authenticated", "token", "unverified", "trusted"] | None = Field(
        default=None, description="of the reports; trusted: authenticated or token"
    )

    @property
    def window(self) -> Window:
        """The hours in it."""
        return Window.between(self.from_at or FIRST, self.to_at or LAST)


class MailQuery(RecordQuery, RecordListQuery):
    """… of aggregate reports."""

    subdomains_only: bool = False


class TlsRecordQuery(RecordListQuery):
    """… of TLS reports: policies, and of what failed under each what fits the last three."""

    policy_type: http_fields.Text | None = None
    result_type: http_fields.Text | None = None
    mx: http_fields.Host | None = None
    has_mx: bool | None = Field(
        default=None, description="false: failures that came before there was a host"
    )


@bp.get("/dmarc/records")
@endpoint(scopes=READ, query=MailQuery, returns=schemas.MailRecord, is_list=True, exports=True)
def index(query: MailQuery) -> Response:
    """The records of a domain that count in a time, the newest mail first."""
    window = query.window
    listing = dmarc_records.of_domain(current().account_id, query.domain, window, query.filters)
    return exports.answer(
        listing,
        query,
        schemas.MailRecord,
        lambda row: serialization.of_domain(row, dmarc_records.counts(row, window)),
        "dmarc-records",
    )


@bp.get("/tls-rpt/records")
@endpoint(scopes=READ, query=TlsRecordQuery, returns=schemas.TlsRecord, is_list=True, exports=True)
def of_tls(query: TlsRecordQuery) -> Response:
    """The policies of a domain's TLS reports that count in a time, newest first."""
    filters = TlsFilter(
        policy_type=query.policy_type,
        reporter=query.reporter,
        provenance=query.provenance,
        result_type=query.result_type,
        mx=query.mx,
        has_mx=query.has_mx,
    )
    listing = tls_records.of_domain(current().account_id, query.domain, query.window, filters)
    return exports.answer(listing, query, schemas.TlsRecord, serialization.of_policy, "tls-records")


@bp.get("/dmarc/<id>/records")
@endpoint(scopes=READ, query=RecordQuery, returns=schemas.DmarcRecord, is_list=True, exports=True)
def of_report(id: str, query: RecordQuery) -> Response:
    """The records of an aggregate report, in its order."""
    listing = dmarc_records.of_report(current().account_id, parsed("dmr", id), query.filters)
    return exports.answer(
        listing, query, schemas.DmarcRecord, serialization.of_report, "dmarc-records"
    )
