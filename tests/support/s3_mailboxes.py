"""Mailboxes in a bucket on loopback."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trustme

from app.mailboxes.s3.bucket import S3Config
from tests.support import s3_server
from tests.support.receivers import LoopbackNetwork
from tests.support.s3_server import ACCESS_KEY_ID, ENDPOINT, REGION, SECRET_ACCESS_KEY, Bucket
from tests.support.zones import Zone

AUTHORITY = trustme.CA()
NAMES = (ENDPOINT, f"reports.{ENDPOINT}")


def network() -> LoopbackNetwork:
    """A network with the service."""
    return LoopbackNetwork(Zone({(name, "A"): ["127.0.0.1"] for name in NAMES}))


@contextmanager
def served(bucket: Bucket, /, **options: str) -> Iterator[S3Config]:
    """Access to a service with this bucket; its certificate is trusted until the end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*NAMES).configure_cert(context)
    before = os.environ.get("SSL_CERT_FILE")
    with tempfile.TemporaryDirectory() as directory, s3_server.serving(bucket, context) as port:
        path = Path(directory) / "authority.pem"
        AUTHORITY.cert_pem.write_to_path(str(path))
        os.environ["SSL_CERT_FILE"] = str(path)
        try:
            yield S3Config(
                **{
                    "bucket": bucket.name,
                    "region": REGION,
                    "access_key_id": ACCESS_KEY_ID,
                    "secret_access_key": SECRET_ACCESS_KEY,
                    "endpoint": ENDPOINT,
                    **options,
                },
                port=port,
            )
        finally:
            os.environ.pop("SSL_CERT_FILE")
            if before is not None:
                os.environ["SSL_CERT_FILE"] = before
