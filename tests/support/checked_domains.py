"""Domains with stored check results."""

from app.db.transactions import transaction
from app.models import Domain, DomainState

DMARC = "v=DMARC1; p=none; rua=mailto:d@acme.test"


SPF = {
    "acme.test": "v=spf1 ip4:192.0.2.0/30 include:a.test include:b.test -all",
    "a.test": "v=spf1 ip4:198.51.100.0/30 -all",
    "b.test": "v=spf1 ip4:198.51.100.2/31 ip4:203.0.113.0/30 -all",
}


def store_results(
    domain: Domain, dmarc: str | None = DMARC, since: str | None = "2020-01-01T00:00:00.000Z"
) -> None:
    """Store a scan's results for the domain; ``since``: when its policy last changed."""
    facts = {
        "record": dmarc,
        "record_at": domain.name,
        "org_domain": domain.name,
        "policy_since": since,
    }
    records = [{"name": name, "type": "TXT", "values": [text]} for name, text in SPF.items()]
    results = {
        "dmarc": {"facts": facts, "records": []},
        "spf": {"facts": {"record": SPF["acme.test"]}, "records": records},
    }
    with transaction() as session:
        session.add(
            DomainState(domain_id=domain.id, account_id=domain.account_id, last_results=results)
        )
