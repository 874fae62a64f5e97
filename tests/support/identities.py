"""Identities of senders in aggregate reports."""

from typing import Any

from app.analysis.mail.identities import Identity
from app.analysis.mail.spf_paths import SpfPaths

SPF = SpfPaths(
    "acme.test",
    [
        {
            "name": "acme.test",
            "type": "TXT",
            "values": ["v=spf1 ip4:192.0.2.1 include:_spf.google.com -all"],
        },
        {"name": "_spf.google.com", "type": "TXT", "values": ["v=spf1 ip4:198.51.100.0/24 ~all"]},
    ],
)


def identity(*, dkim: bool = False, spf: bool = False, **fields: Any) -> Identity:
    values = {"header_from": "acme.test", "disposition": "none"}
    return Identity(**(values | fields), dkim=dkim, spf=spf)
