"""The sample domains of the demo: every verdict can be seen with them."""

from collections.abc import Mapping

from sqlalchemy import select

from app.checks.contract import Usage
from app.db import transaction
from app.models import Account
from app.services import domains, scans

ACTOR = "user:demo"

DKIM_SELECTORS = ("good", "old", "gone", "try", "ed", "never")
SAMPLES: Mapping[str, domains.NewDomain] = {
    new.name: new
    for new in (
        domains.NewDomain("acme.test", tags=["well-kept"], dkim_selectors=["s2026"]),
        domains.NewDomain("transit.example", tags=["well-kept"]),
        domains.NewDomain("signed.test", tags=["dnssec"]),
        domains.NewDomain("ten.test", tags=["spf"]),
        domains.NewDomain("spferr.test", tags=["spf"]),
        domains.NewDomain("other.spferr.test", tags=["spf"]),
        domains.NewDomain("twodmarc.test", tags=["dmarc"]),
        domains.NewDomain("family.test", tags=["dmarc"]),
        domains.NewDomain("kids.family.test", tags=["dmarc"]),
        domains.NewDomain("dkimmix.test", tags=["dkim"], dkim_selectors=DKIM_SELECTORS),
        domains.NewDomain("mxodd.test", tags=["mx"]),
        domains.NewDomain("parked.example", usage=Usage.PARKED, tags=["parked"]),
        domains.NewDomain("down.test", tags=["broken"]),
    )
}


def add_samples() -> int:
    """Add the samples to the first account and ask for their scans; how many were added."""
    with transaction(readonly=True) as session:
        account_id = session.scalar(select(Account.id).order_by(Account.id).limit(1))
    if account_id is None:
        return 0
    added = domains.create_many(account_id, list(SAMPLES.values()), actor=ACTOR)
    names = [one.name for one in added if one.id is not None]
    if names:
        scans.trigger_many(account_id, scans.Selection(refs=names), actor=ACTOR)
    return len(names)
