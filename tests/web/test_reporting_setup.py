"""The page Reporting proposes records that keep what is published."""

from uuid import UUID

from sqlalchemy import select

from app import settings as app_settings
from app.db.transactions import transaction
from app.models import Domain, DomainState
from app.services.ingest import tokens
from app.settings import Settings
from tests.support.dashboard_browser import Browser
from tests.support.factories import make_domain


def test_tls_report_address_is_proposed_only_with_https(
    browser: Browser, settings: Settings
) -> None:
    make_domain(browser.account_id, "acme.test")
    browser.post("/settings/reporting")
    (token,) = tokens.search(browser.account_id)
    page = browser.get("/settings/reporting")
    assert "v=TLSRPTv1" not in page
    assert "publish a <code>mailto:</code> address" in page
    app_settings.use(settings.replace(base_url="https://watch.test"))
    address = f"https://watch.test/ingest/{token.token}/tls-rpt"
    page = browser.get("/settings/reporting")
    assert address in page
    assert "v=TLSRPTv1" not in page  # no scan has seen what is published
    theirs = "v=TLSRPTv1; rua=mailto:t@acme.test"
    for published, expected in (
        ([], f"v=TLSRPTv1; rua={address}"),
        ([theirs], f"{theirs},{address}"),
        ([f"{theirs},{address}"], "has this address"),
        ([theirs, "v=TLSRPTv1; rua=mailto:u@acme.test"], "First correct"),
        (["v=TLSRPTv1; rua=t@acme.test"], "First correct"),
    ):
        store_tls_record(browser.account_id, published)
        page = browser.get("/settings/reporting")
        assert expected in page
        assert page.count("v=TLSRPTv1") <= 1 + bool(published)
    store_tls_record(browser.account_id, [theirs], alias="tls.vendor.test")
    page = browser.get("/settings/reporting")
    assert "is an alias of <code>tls.vendor.test</code>" in page
    assert "v=TLSRPTv1" not in page


def store_tls_record(account_id: UUID, texts: list[str], alias: str | None = None) -> None:
    """Store the result of a scan of acme.test with these records for TLS reports."""
    name = "_smtp._tls.acme.test"
    result = {
        "facts": {"record": bool(texts), "alias": alias},
        "records": [{"name": name, "type": "TXT", "values": texts}],
    }
    with transaction() as session:
        domain = session.scalar(
            select(Domain).where(Domain.account_id == account_id, Domain.name == "acme.test")
        )
        assert domain is not None
        session.merge(
            DomainState(
                domain_id=domain.id, account_id=account_id, last_results={"tls_rpt": result}
            )
        )
