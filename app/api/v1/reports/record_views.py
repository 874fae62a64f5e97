"""The routes of report records: of one aggregate report, or of an analytics figure."""

from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import AfterValidator, Field

from app.analysis.mail.periods import Window
from app.analysis.mail.record_filter import MAX_ADDRESSES, RecordFilter, TlsRecordFilter
from app.api.http import fields as http_fields
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1 import exports
from app.api.v1.exports import Exportable, Table
from app.api.v1.reports import schemas
from app.models.keys import Scope
from app.protocols.timestamps import FIRST, LAST
from app.services.reports import dmarc_records, serialization, tls_records

bp = Blueprint("records", __name__, url_prefix="/reports")

READ = (Scope.REPORTS_READ,)
Result = Literal["pass", "fail"]


def _are_few(text: str) -> str:
    if text.count(",") >= MAX_ADDRESSES:
        raise ValueError(f"at most {MAX_ADDRESSES} addresses are allowed")
    return text


Addresses = Annotated[
    str,
    Field(min_length=1, max_length=3000, description="up to 50 addresses, separated by commas"),
    AfterValidator(_are_few),
]


class RecordQuery(Exportable):
    """The filters of DMARC report records."""

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
    def filter(self) -> RecordFilter:
        """The filter with these parameters."""
        return RecordFilter.from_query(self.model_dump(by_alias=True))


class RecordListQuery(Exportable):
    """The records of a domain that count in the period of ``from`` and ``to``."""

    domain: http_fields.Name
    from_at: http_fields.Timestamp | None = Field(default=None, alias="from")
    to_at: http_fields.Timestamp | None = Field(default=None, alias="to")
    reporter: http_fields.Text | None = None
    provenance: Literal["authenticated", "token", "imported", "unverified", "trusted"] | None = (
        Field(default=None, description="provenance of the reports; trusted: any but unverified")
    )

    @property
    def window(self) -> Window:
        """The full hours in the period."""
        return Window.between(self.from_at or FIRST, self.to_at or LAST)


class MailQuery(RecordQuery, RecordListQuery):
    """The records of a domain's aggregate reports."""

    subdomains_only: bool = False


class TlsRecordQuery(RecordListQuery):
    """The records of a domain's TLS reports: policies, with the failures that match."""

    policy_type: http_fields.Text | None = None
    result_type: http_fields.Text | None = None
    mx: http_fields.Host | None = None
    has_mx: bool | None = Field(
        default=None, description="false: failures before an MX host was reached"
    )

    @property
    def filter(self) -> TlsRecordFilter:
        """The filter with these parameters."""
        return TlsRecordFilter.from_query(self.model_dump(by_alias=True))


@bp.get("/dmarc/records")
@endpoint(scopes=READ, query=MailQuery, returns=schemas.MailRecord, is_list=True, exports=True)
def index(query: MailQuery) -> Response:
    """List the DMARC records of a domain."""
    account_id = current().account_id
    listing = dmarc_records.of_domain(account_id, query.domain, query.window, query.filter)
    return exports.answer(
        listing, query, Table("dmarc-records", schemas.MailRecord, serialization.of_domain)
    )


@bp.get("/tls-rpt/records")
@endpoint(scopes=READ, query=TlsRecordQuery, returns=schemas.TlsRecord, is_list=True, exports=True)
def of_tls(query: TlsRecordQuery) -> Response:
    """List the TLS policies of a domain's reports."""
    account_id = current().account_id
    listing = tls_records.of_domain(account_id, query.domain, query.window, query.filter)
    return exports.answer(
        listing, query, Table("tls-records", schemas.TlsRecord, serialization.of_policy)
    )


@bp.get("/dmarc/<id>/records")
@endpoint(scopes=READ, query=RecordQuery, returns=schemas.DmarcRecord, is_list=True, exports=True)
def of_report(id: str, query: RecordQuery) -> Response:
    """List the records of an aggregate report."""
    listing = dmarc_records.of_report(
        current().account_id, http_fields.path_id("dmr", id), query.filter
    )
    return exports.answer(
        listing, query, Table("dmarc-records", schemas.DmarcRecord, serialization.of_report)
    )
