"""The checks of a domain; ``CHECKS`` lists them in the order in which a report shows them."""

from collections.abc import Mapping

from app.checks.bimi import bimi
from app.checks.dkim import dkim
from app.checks.dmarc import dmarc
from app.checks.dns import dns
from app.checks.dns.caa import caa
from app.checks.dns.dnssec import dnssec
from app.checks.engine.types import FindingType
from app.checks.mx import mx
from app.checks.mx.rdns import rdns
from app.checks.spf import spf
from app.checks.transport.dane import dane
from app.checks.transport.mta_sts import mta_sts
from app.checks.transport.starttls import starttls
from app.checks.transport.tls_rpt import tls_rpt

CHECKS = (dns, dnssec, mx, rdns, spf, dkim, dmarc, mta_sts, tls_rpt, starttls, dane, caa, bimi)
FINDING_TYPES: Mapping[str, FindingType] = {
    kind.code: kind for check in CHECKS for kind in check.finds
}
