"""A small S3 service on loopback with TLS, which verifies the signature of each request.

The signature is calculated from the request as it arrived, as Amazon documents it for services.
"""

import hashlib
import hmac
import re
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, quote, quote_plus, unquote, urlsplit
from xml.sax.saxutils import escape

ENDPOINT = "s3.storage.test"
REGION = "eu-central-1"
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET_ACCESS_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(\S+?)/(\d{8})/(\S+?)/s3/aws4_request,\s*"
    r"SignedHeaders=(\S+?),\s*Signature=([0-9a-f]{64})"
)


@dataclass(slots=True)
class Bucket:
    """The objects of a bucket by key.

    page_size    the most objects of one page of a list
    refusals     (status, code, message) for requests, by their method and key
    stalls_at    the service does not answer this request, and sets ``stalled``
    breaks_at    the service closes the connection at one of these requests
    document     the response to a list instead of a correct one
    headers      of error responses
    session      the session token that requests must have; "" for none
    ignores      parameters that the service does not know, such as ``encoding-type``
    requests     the method and key of each request; a list has an empty key
    """

    content: dict[str, bytes]
    name: str = "reports"
    page_size: int = 1_000
    sizes: dict[str, int] = field(default_factory=dict)
    refusals: dict[tuple[str, str], tuple[int, str, str]] = field(default_factory=dict)
    stalls_at: tuple[str, str] | None = None
    stalled: threading.Event = field(default_factory=threading.Event)
    breaks_at: set[tuple[str, str]] = field(default_factory=set)
    document: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    ignores: set[str] = field(default_factory=set)
    session: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)


class _Refused(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    bucket: ClassVar[Bucket]
    protocol_version = "HTTP/1.1"

    def handle_method(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        try:
            self.verify(parts.path, parts.query, body)
            self.check_session()
            key = self.key_of(unquote(parts.path))
            request = (self.command, key)
            self.bucket.requests.append(request)
            if request == self.bucket.stalls_at:
                self.bucket.stalled.set()
                threading.Event().wait(60)
            if request in self.bucket.breaks_at:
                self.close_connection = True
                return
            if request in self.bucket.refusals:
                raise _Refused(*self.bucket.refusals[request])
            self.answer(key, query)
        except _Refused as error:
            document = f"<Code>{error.code}</Code><Message>{escape(error.message)}</Message>"
            self.send(error.status, f"<Error>{document}</Error>".encode(), self.bucket.headers)

    def check_session(self) -> None:
        """Refuse another session token than the expected one, or one that is not signed."""
        token = self.headers.get("X-Amz-Security-Token", "")
        is_signed = "x-amz-security-token" in self.headers["Authorization"]
        if token != self.bucket.session or bool(token) is not is_signed:
            raise _Refused(400, "ExpiredToken", "The provided token has expired.")

    def do_GET(self) -> None:
        self.handle_method()

    def do_PUT(self) -> None:
        self.handle_method()

    def do_DELETE(self) -> None:
        self.handle_method()

    def key_of(self, path: str) -> str:
        """The key, from a path or from a host with the name of the bucket."""
        host = self.headers["Host"].partition(":")[0]
        if host == ENDPOINT:
            name, _, key = path.removeprefix("/").partition("/")
        else:
            name, key = host.removesuffix(f".{ENDPOINT}"), path.removeprefix("/")
        if name != self.bucket.name:
            raise _Refused(404, "NoSuchBucket", "The specified bucket does not exist.")
        return key

    def answer(self, key: str, query: Mapping[str, str]) -> None:
        content = self.bucket.content
        if self.command == "GET" and not key:
            self.send(200, self.bucket.document or self.listing(query))
        elif self.command == "PUT":
            self.copy(key)
        elif self.command == "DELETE":
            content.pop(key, None)
            self.send(204, b"")
        elif key not in content:
            raise _Refused(404, "NoSuchKey", "The specified key does not exist.")
        else:
            self.check_etag(key, self.headers.get("If-Match"))
            self.send(200, content[key])

    def listing(self, query: Mapping[str, str]) -> bytes:
        bucket = self.bucket
        assert query["list-type"] == "2"
        is_encoded = "encoding-type" in query and "encoding-type" not in bucket.ignores
        after = query.get("continuation-token", "").removeprefix("after ")
        keys = sorted(
            key for key in bucket.content if key.startswith(query.get("prefix", "")) and key > after
        )
        most = min(int(query["max-keys"]), bucket.page_size)
        page, is_truncated = keys[:most], len(keys) > most
        namespace = "http://s3.amazonaws.com/doc/2006-03-01/"
        document = [f'<?xml version="1.0"?><ListBucketResult xmlns="{namespace}">']
        document += ["<EncodingType>url</EncodingType>"] if is_encoded else []
        document += [f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>"]
        if is_truncated:
            document += [f"<NextContinuationToken>after {escape(page[-1])}</NextContinuationToken>"]
        for key in page:
            name = quote_plus(key, safe="/") if is_encoded else escape(key)
            size = bucket.sizes.get(key, len(bucket.content[key]))
            document += [
                f"<Contents><Key>{name}</Key><Size>{size}</Size>"
                f"<ETag>{escape(etag(bucket.content[key]))}</ETag>"
                "<Owner><ID>x</ID></Owner></Contents>"
            ]
        return "".join([*document, "</ListBucketResult>"]).encode()

    def copy(self, key: str) -> None:
        source = unquote(self.headers["x-amz-copy-source"]).removeprefix("/")
        name, _, source_key = source.partition("/")
        if name != self.bucket.name or source_key not in self.bucket.content:
            raise _Refused(404, "NoSuchKey", "The specified key does not exist.")
        self.check_etag(source_key, self.headers.get("x-amz-copy-source-if-match"))
        self.bucket.content[key] = self.bucket.content[source_key]
        self.send(200, b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")

    def check_etag(self, key: str, expected: str | None) -> None:
        if expected not in (None, etag(self.bucket.content[key])):
            raise _Refused(412, "PreconditionFailed", "At least one condition did not hold.")

    def verify(self, path: str, query: str, body: bytes) -> None:
        """Raise _Refused unless the signature is that of this request."""
        match = _AUTHORIZATION.fullmatch(self.headers.get("Authorization", ""))
        if match is None:
            raise _Refused(403, "AccessDenied", "Access Denied")
        access_key_id, date, region, names, signature = match.groups()
        if access_key_id != ACCESS_KEY_ID:
            message = "The AWS Access Key Id you provided does not exist in our records."
            raise _Refused(403, "InvalidAccessKeyId", message)
        if region != REGION:
            message = f"the region '{region}' is wrong; expecting '{REGION}'"
            raise _Refused(400, "AuthorizationHeaderMalformed", message)
        timestamp = self.headers["x-amz-date"]
        signed_at = datetime.strptime(timestamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        if abs(datetime.now(UTC) - signed_at) > timedelta(minutes=15) or timestamp[:8] != date:
            raise _Refused(403, "RequestTimeTooSkewed", "The difference of the times is too large.")
        digest = hashlib.sha256(body).hexdigest()
        required = {"host"} | {
            name.lower() for name in self.headers if name.lower().startswith("x-amz-")
        }
        if self.headers["x-amz-content-sha256"] != digest or not required <= set(names.split(";")):
            raise _Refused(400, "XAmzContentSHA256Mismatch", "The content is not what was signed.")
        if not hmac.compare_digest(signature, self.signature(path, query, names, digest)):
            message = "The request signature we calculated does not match."
            raise _Refused(403, "SignatureDoesNotMatch", message)

    def signature(self, path: str, query: str, names: str, digest: str) -> str:
        pairs = sorted(
            (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
            for name, value in parse_qsl(query, keep_blank_values=True)
        )
        lines = [self.command, quote(unquote(path), safe="/-_.~")]
        lines.append("&".join(f"{name}={value}" for name, value in pairs))
        lines += [f"{name}:{self.headers[name].strip()}" for name in names.split(";")]
        lines += ["", names, digest]
        timestamp = self.headers["x-amz-date"]
        scope = f"{timestamp[:8]}/{REGION}/s3/aws4_request"
        canonical = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{timestamp}\n{scope}\n{canonical}"
        key = b"AWS4" + SECRET_ACCESS_KEY.encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return hmac.digest(key, text.encode(), "sha256").hex()

    def send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing; the requests are in ``Bucket.requests``."""


class _Server(ThreadingHTTPServer):
    context: ssl.SSLContext
    daemon_threads = True
    block_on_close = False

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, as some tests do."""


def etag(content: bytes) -> str:
    """The ETag of an object."""
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@contextmanager
def serving(bucket: Bucket, context: ssl.SSLContext) -> Iterator[int]:
    """The service with this bucket; its port."""
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    with _Server(("127.0.0.1", 0), handler) as server:
        server.context = context
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
