"""The sample domains of the demo, which show every verdict."""

from collections.abc import Mapping

from sqlalchemy import select

from app.checks.engine.types import Usage
from app.db.transactions import transaction
from app.models import Account
from app.services.domains import domains
from app.services.scans import batches
from app.services.scans.batches import Selection

ACTOR = "user:demo"

DKIM_SELECTORS = ("good", "weak", "tiny", "ed", "test", "sha1", "gone", "never")
SAMPLES: Mapping[str, domains.NewDomain] = {
    new.name: new
    for new in (
        domains.NewDomain("perfect.example", tags=["well-kept"], dkim_selectors=["s2026", "e2026"]),
        domains.NewDomain("hosted.example", tags=["hosted"], dkim_selectors=["k1", "k2"]),
        domains.NewDomain("monitoring.example", tags=["dmarc"], dkim_selectors=["s1"]),
        domains.NewDomain("sprawl.example", tags=["spf"], dkim_selectors=["s1"]),
        domains.NewDomain("twice.example", tags=["dmarc", "spf"], dkim_selectors=["s1"]),
        domains.NewDomain("dangling.example", tags=["spf", "dkim"], dkim_selectors=["s1"]),
        domains.NewDomain("oldkeys.example", tags=["dkim"], dkim_selectors=DKIM_SELECTORS),
        domains.NewDomain("mismatch.example", tags=["mta-sts"], dkim_selectors=["s1"]),
        domains.NewDomain("asleep.example", usage=Usage.PARKED, tags=["parked"]),
        domains.NewDomain("silent.example", tags=["undetermined"]),
        domains.NewDomain("halting.example", tags=["undetermined"], dkim_selectors=["s1"]),
        domains.NewDomain("nosuch.example", tags=["broken"]),
        domains.NewDomain("open.test", tags=["broken"]),
        domains.NewDomain("bare.test", tags=["broken"]),
        domains.NewDomain("bogus.test", tags=["dnssec"]),
        domains.NewDomain("expired.test", tags=["mta-sts"]),
        domains.NewDomain("wrongname.test", tags=["mta-sts"]),
        domains.NewDomain("moved.test", tags=["mta-sts"]),
        domains.NewDomain("nopolicy.test", tags=["mta-sts"]),
        domains.NewDomain("huge.test", tags=["mta-sts"]),
    )
}


def add_samples() -> int:
    """Add the samples to the first account and queue their scans; return how many were added."""
    with transaction(readonly=True) as session:
        account_id = session.scalar(select(Account.id).order_by(Account.id).limit(1))
    if account_id is None:
        return 0
    added = domains.create_many(account_id, list(SAMPLES.values()), actor=ACTOR)
    if added.created:
        batches.trigger(account_id, Selection(refs=added.created), actor=ACTOR)
    return added.created_count
