"""Signatures of requests to Amazon S3 and compatible services: AWS Signature Version 4.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-_.~"  # in addition to letters and digits (RFC 3986 §2.3)


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """An access key and what its signatures are limited to.

    session_token  of temporary credentials; empty for others
    """

    access_key_id: str
    secret_access_key: str
    region: str
    service: str = "s3"
    session_token: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedRequest:
    """The parts of a request that are signed.

    path     as it is sent, percent-encoded
    query    the parameters, not encoded
    headers  all that are signed, ``host`` included
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


def signed_headers(request: UnsignedRequest, key: SigningKey, now: datetime) -> dict[str, str]:
    """Return the headers of the request with those that authenticate it."""
    timestamp = now.strftime("%Y%m%dT%H%M%SZ")
    body_digest = hashlib.sha256(request.body).hexdigest()
    headers = {
        **{name.lower(): " ".join(value.split()) for name, value in request.headers.items()},
        "x-amz-content-sha256": body_digest,
        "x-amz-date": timestamp,
    }
    headers |= {"x-amz-security-token": key.session_token} if key.session_token else {}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        (
            request.method,
            request.path,
            encoded_query(request.query),
            *(f"{name}:{headers[name]}" for name in sorted(headers)),
            "",
            names,
            body_digest,
        )
    )
    scope = f"{timestamp[:8]}/{key.region}/{key.service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((_ALGORITHM, timestamp, scope, digest))
    signature = hmac.new(_derived(key, timestamp[:8]), text.encode(), "sha256").hexdigest()
    credential = f"{key.access_key_id}/{scope}"
    authorization = (
        f"{_ALGORITHM} Credential={credential},SignedHeaders={names},Signature={signature}"
    )
    return {**headers, "authorization": authorization}


def encoded_path(*segments: str) -> str:
    """Return the path with these segments, percent-encoded; slashes within them are kept."""
    return "/" + "/".join(quote(segment, safe=f"/{_UNRESERVED}") for segment in segments)


def encoded_query(query: Mapping[str, str]) -> str:
    """Return the parameters in the order and encoding in which they are signed."""
    pairs = ((_encoded(name), _encoded(value)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(text, safe=_UNRESERVED)


def _derived(key: SigningKey, date: str) -> bytes:
    """Return the key of one day, region and service."""
    derived = f"AWS4{key.secret_access_key}".encode()
    for part in (date, key.region, key.service, "aws4_request"):
        derived = hmac.new(derived, part.encode(), "sha256").digest()
    return derived
