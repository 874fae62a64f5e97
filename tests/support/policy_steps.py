"""The next policy steps of a domain, from mail of each kind."""

from dataclasses import replace
from typing import Any

from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Context, Flow, SourceReview, gather
from app.analysis.policy import readiness
from app.analysis.policy.published import Published
from app.analysis.policy.readiness import PolicyStep
from app.protocols import dmarc

TEXT = "v=DMARC1; p=none; rua=mailto:d@acme.test"
APPROVED = SourceReview("approved", None, "user:ann")
FORGED = Identity(header_from="acme.test", disposition="none", dkim=False, spf=False)
GOOD = replace(FORGED, dkim=True, spf=True, spf_results=(("acme.test", "mfrom", "pass"),))
PASSED_ON = replace(FORGED, reasons=("forwarded",))
SERVICE = replace(FORGED, spf_results=(("x.mcsv.net", "m", "pass"),))
SERVICE_SIGNED = replace(SERVICE, dkim=True, dkim_results=(("acme.test", "k1", "pass"),))
QUARANTINE = "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"
SPF_ONLY = replace(GOOD, dkim=False)
BELOW = replace(SERVICE, header_from="news.acme.test")


def assess_steps(
    *mail: tuple[Identity, int],
    text: str | None = TEXT,
    days: int = 30,
    published: Published | None = None,
    days_at_policy: int | None = 30,
    gaps: tuple[str, ...] = (),
    **context: Any,
) -> list[PolicyStep]:
    identities = {number: identity for number, (identity, _) in enumerate(mail)}
    flows = [
        Flow(source_ip=f"192.0.2.{n}", identity=n, messages=count, first_hour=1, last_hour=1)
        for n, (_, count) in enumerate(mail)
    ]
    sources = gather(flows, identities, Context("acme.test", **context))
    evidence = readiness.evidence(
        sources,
        window_days=30,
        days=days,
        reporters=3,
        days_at_policy=days_at_policy,
    )
    evidence = replace(evidence, gaps=gaps)
    record = dmarc.parse_record(text) if text else dmarc.Record()
    published = published or Published("_dmarc.acme.test", text, record)
    return list(readiness.steps("acme.test", sources, identities, evidence, published))
