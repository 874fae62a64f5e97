"""The overview page: tiles that lead to lists, grades and policies."""

import re

from app.db.transactions import transaction
from app.models import Domain, DomainMail
from app.services.domain_status.mail_figures import DAYS
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain


def test_tiles_and_policies_lead_to_the_domains_that_they_count(browser: Browser) -> None:
    policies = ("reject", "none", "none", None)
    for number, policy in enumerate(policies):
        domain = make_domain(browser.account_id, f"d{number}.test")
        with transaction() as session:
            row = session.get_one(Domain, domain.id)
            row.dmarc_policy = policy
            session.add(
                DomainMail(
                    domain_id=domain.id,
                    account_id=browser.account_id,
                    messages=50,
                    passed=49 if policy else 0,
                    version=0,
                    computed_at=row.created_at,
                )
            )
    page = browser.get("/")
    assert '<a href="/domains">4</a>' in page
    assert '<a href="/alerts">0</a>' in page
    assert re.search(r'<a href="/domains\?sort=rate">73.5.%</a>', page)
    assert f"{DAYS} days" in page
    link = '<a href="/domains?policy=none">p=none</a>'
    counted = page.partition(link)[2].partition('<span class="number">')[2]
    assert counted.startswith("2<")
    assert "Not determined yet" in page
    listed = re.findall(r'<a href="/domains/(d\d\.test)">', browser.get("/domains?policy=none"))
    assert sorted(listed) == ["d1.test", "d2.test"]
