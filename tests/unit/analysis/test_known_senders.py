"""The table of well-known services."""

import re
from collections import Counter

import pytest

from app.catalog.senders import SENDERS, of


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("mail-sor-f41.google.com", "Google Workspace"),
        ("_spf.google.com", "Google Workspace"),
        ("acme-com.20230601.gappssmtp.com", "Google Workspace"),
        ("a8-31.smtp-out.amazonses.com", "Amazon SES"),
        ("eu-west-1.amazonses.com", "Amazon SES"),
        ("mail.python.org", "Mailman at python.org"),
        ("python.org", None),
        ("notamazonses.com", None),
        ("com", None),
        ("", None),
    ],
)
def test_name_belongs_to_service_of_its_parent_domain(name: str, service: str | None) -> None:
    sender = of(name)
    assert (sender.name if sender else None) == service


def test_every_service_and_domain_is_listed_once() -> None:
    names = Counter(sender.name for sender in SENDERS)
    domains = Counter(domain for sender in SENDERS for domain in sender.domains.split())
    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name, count in domains.items() if count > 1] == []
    assert len(SENDERS) >= 60


def test_every_service_has_a_setup_page() -> None:
    for sender in SENDERS:
        assert re.fullmatch(r"https://[a-z0-9.-]+/\S*", sender.setup), sender.name
        assert re.fullmatch(r"[a-z0-9. -]+", sender.domains), sender.name
