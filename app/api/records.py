"""Records of reports: of one aggregate report, and those behind a figure of analytics."""

from dataclasses import fields
from typing import Annotated, Literal

from flask import Blueprint, Response
from pydantic import AfterValidator, Field

from app.api import exports, inputs, report_shapes
from app.api.auth import current
from app.api.contract import endpoint
from app.api.exports import Exportable
from app.api.scans import parsed
from app.insight.behind import MOST_ADDRESSES
from app.insight.periods import Window
from app.models.keys import Scope
from app.protocols.timestamps import FIRST, LAST
from app.services import record_files, records, tls_records
from app.services.records import RecordFilter
from app.services.tls_records import TlsFilter

bp = Blueprint("records", __name__, url_prefix="/reports")

READ = (Scope.REPORTS_READ,)
Result = Literal["pass", "fail"]
_FILTERS = {field.name for field in fields(RecordFilter)}


def _are_few(text: str) -> str:
    if text.count(",") >= MOST_ADDRESSES:
        raise ValueError(f"at most {MOST_ADDRESSES} addresses")
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
    header_from: inputs.Text | None = None
    disposition: inputs.Text | None = None
    dkim: Result | None = None
    spf: Result | None = None
    dkim_domain: inputs.Text | None = None
    dkim_selector: inputs.Text | None = None
    dkim_result: inputs.Text | None = None
    spf_domain: inputs.Text | None = None
    spf_result: inputs.Text | None = None

    @property
    def filters(self) -> RecordFilter:
        """What it asks for of a record."""
        asked = self.model_dump(include=_FILTERS & self.model_fields_set)
        addresses = tuple(self.source_ip.split(",")) if self.source_ip else ()
        return RecordFilter(source_ips=addresses, **asked)


class DomainQuery(Exportable):
    """Which records of a domain: ``from`` and ``to`` bound when they count, as in analytics."""

    domain: inputs.Name
    from_at: inputs.Moment | None = Field(default=None, alias="from")
    to_at: inputs.Moment | None = Field(default=None, alias="to")
    reporter: inputs.Text | None = None
    provenance: Literal["authenticated", "token", "unverified", "trusted"] | None = Field(
        default=None, description="of the reports; trusted: authenticated or token"
    )

    @property
    def window(self) -> Window:
        """The hours in it."""
        return Window.between(self.from_at or FIRST, self.to_at or LAST)


class MailQuery(RecordQuery, DomainQuery):
    """… of aggregate reports."""

    below: bool = False


class TlsQuery(DomainQuery):
    """… of TLS reports: policies, and of what failed under each what fits the last three."""

    policy_type: inputs.Text | None = None
    result_type: inputs.Text | None = None
    mx: inputs.Host | None = None
    has_mx: bool | None = Field(
        default=None, description="false: failures that came before there was a host"
    )


@bp.get("/dmarc/records")
@endpoint(
    scopes=READ, query=MailQuery, returns=report_shapes.MailRecord, is_list=True, exports=True
)
def index(query: MailQuery) -> Response:
    """The records of a domain that count in a time, the newest mail first."""
    window = query.window
    listing = records.of_domain(current().account_id, query.domain, window, query.filters)
    return exports.answer(
        listing,
        query,
        report_shapes.MailRecord,
        lambda row: record_files.of_domain(row, records.counted(row, window)),
        "dmarc-records",
    )


@bp.get("/tls-rpt/records")
@endpoint(scopes=READ, query=TlsQuery, returns=report_shapes.TlsRecord, is_list=True, exports=True)
def of_tls(query: TlsQuery) -> Response:
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
    return exports.answer(
        listing, query, report_shapes.TlsRecord, record_files.of_policy, "tls-records"
    )


@bp.get("/dmarc/<id>/records")
@endpoint(
    scopes=READ, query=RecordQuery, returns=report_shapes.DmarcRecord, is_list=True, exports=True
)
def of_report(id: str, query: RecordQuery) -> Response:
    """The records of an aggregate report, in its order."""
    listing = records.of_report(current().account_id, parsed("dmr", id), query.filters)
    return exports.answer(
        listing, query, report_shapes.DmarcRecord, record_files.of_report, "dmarc-records"
    )
