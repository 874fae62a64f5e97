"""Objects in a bucket of Amazon S3 or a compatible service, over HTTPS.

An object is a received email, as Amazon SES writes them, or a report file. Requests go through the
HTTPS client of this process, which connects to public addresses only and follows no redirects, and
are signed with the access key of the mailbox alone. An imported object stays, moves to another
prefix or is deleted.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal
from urllib.parse import quote

from app import wall_clock
from app.mailboxes.config import MailboxConfig
from app.mailboxes.s3 import documents, signature
from app.mailboxes.s3.documents import InvalidDocument, ObjectList, StoredObject
from app.mailboxes.s3.signature import SigningKey, UnsignedRequest
from app.mailboxes.types import (
    Access,
    MailboxError,
    MessageError,
    ResponseTooLarge,
    SignInRequired,
    WaitingMessage,
)
from app.options import certificates, fields
from app.options.fields import OptionError
from app.ports.http import Page, Request
from app.protocols import retry_after
from app.protocols.report_formats.limits import LIMITS

PAGE_SIZE = 1_000  # objects; the largest that S3 allows
MAX_PAGES = 1_000  # of one fetch, for a service whose list never ends
MAX_LIST = 8 * 1024 * 1024  # bytes of one page; the keys have up to 1,024 bytes each
MAX_RESPONSE = 64 * 1024  # bytes of any other response
DEFAULT_WAIT_SECONDS = 60.0  # if a service that slows us down does not name a time
MAX_WORDS, MAX_CODE = 200, 50  # characters of the service in a reason

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_REGION = re.compile(r"[A-Za-z0-9-]{1,40}")
_THROTTLING = ("SlowDown", "RequestLimitExceeded", "ServiceUnavailable", "Throttling")
_EXPIRED = ("ExpiredToken", "InvalidToken", "TokenRefreshRequired")
_ADVICE = {
    "AccessDenied": "The access key needs more permissions",
    "AuthorizationHeaderMalformed": "Check the region",
    "InvalidAccessKeyId": "Check the access key",
    "NoSuchBucket": "Check the bucket and the region",
    "PermanentRedirect": "Check the region",
    "RequestTimeTooSkewed": "Check the clock of this machine",
    "SignatureDoesNotMatch": "Check the secret access key",
}

_Method = Literal["GET", "PUT", "DELETE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Config(MailboxConfig):
    """The objects in a bucket whose keys begin with a prefix."""

    type: ClassVar[str] = "s3"
    label: ClassVar[str] = "S3 bucket"
    description: ClassVar[str] = (
        "A bucket of Amazon S3 or a compatible service, with emails (as Amazon SES stores them) "
        "or report files."
    )

    bucket: str = fields.text("Bucket", most=63, placeholder="example-reports")
    prefix: str = fields.text(
        "Prefix", default="", hint="Only objects whose keys begin with this are read."
    )
    region: str = fields.text("Region", default="us-east-1", is_bound=True)
    access_key_id: str = fields.text("Access key ID", is_bound=True)
    secret_access_key: str = fields.secret("Secret access key", most=500)
    session_token: str = fields.secret(
        "Session token",
        default="",
        most=4_000,
        hint="Only of temporary credentials. The mailbox is paused when they expire.",
        is_advanced=True,
    )
    after_import: str = fields.choice(
        "Imported objects",
        {
            "keep": "Stay unchanged",
            "move": "Move to another prefix",
            "delete": "Are deleted",
        },
        default="keep",
    )
    done_prefix: str = fields.text(
        "Prefix for imported objects",
        default="",
        hint="Only if imported objects move. Objects with this prefix are not read.",
        needed_with={"after_import": ("move",)},
    )
    endpoint: str = fields.host(
        "Endpoint",
        default="",
        hint="The server of a compatible service; Amazon S3 unless set.",
        is_advanced=True,
    )
    port: int | None = fields.port(is_advanced=True)
    addressing: str = fields.choice(
        "Address of the bucket",
        {
            "virtual": "In the host name (bucket.endpoint)",
            "path": "In the path (endpoint/bucket), as MinIO has it",
        },
        default="virtual",
        is_advanced=True,
    )
    ca_certificates: str = certificates.option()

    @property
    def title(self) -> str:
        return self.access_key_id

    @property
    def location(self) -> str:
        return f"{self.server}, {self.bucket}/{self.prefix}"

    @property
    def server(self) -> str:
        """The endpoint, or that of Amazon S3 in the region."""
        return self.endpoint or f"s3.{self.region}.amazonaws.com"

    @property
    def host(self) -> str:
        """The host that requests go to."""
        return self.server if self.addressing == "path" else f"{self.bucket}.{self.server}"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the names, and with the prefix for imported objects."""
        if not _BUCKET.fullmatch(self.bucket):
            yield OptionError("bucket", "Enter the name of a bucket, such as example-reports")
        if not _REGION.fullmatch(self.region):
            yield OptionError("region", "Enter the name of a region, such as eu-central-1")
        if self.addressing == "virtual" and "." in self.bucket:
            message = "A bucket whose name has a dot needs its address in the path"
            yield OptionError("addressing", message)
        if self.after_import == "move" and self.done_prefix.startswith(self.prefix):
            message = "Enter a prefix that does not begin with the one that receives the reports"
            yield OptionError("done_prefix", message)
        yield from certificates.problems("ca_certificates", self.ca_certificates)

    @contextmanager
    def opened(self, access: Access) -> Iterator["S3Mailbox"]:
        """Yield the objects; the first request is sent when they are listed."""
        yield S3Mailbox(Bucket(self, access), self)


class ServiceRefusal(MailboxError):
    """The service refused a request, in its words."""


class Bucket:
    """The requests to a bucket; each raises MailboxError."""

    def __init__(self, config: S3Config, access: Access) -> None:
        self._config, self._access = config, access
        self._key = SigningKey(
            access_key_id=config.access_key_id,
            secret_access_key=config.secret_access_key,
            region=config.region,
            session_token=config.session_token,
        )

    def page(self, token: str | None, size: int) -> ObjectList:
        """Return one page of the objects with the prefix (ListObjectsV2)."""
        query = {"list-type": "2", "encoding-type": "url", "max-keys": str(size)}
        query |= {"prefix": self._config.prefix} if self._config.prefix else {}
        query |= {"continuation-token": token} if token is not None else {}
        body = self._send("GET", query=query, most=MAX_LIST).body
        try:
            return documents.read_list(body)
        except InvalidDocument as error:
            raise MailboxError(f"the service sent a malformed list: {error}") from None

    def get(self, item: StoredObject) -> bytes:
        """Return the content of an object, which is still that of the list (GetObject)."""
        headers = {"if-match": item.etag} if item.etag else {}
        return self._send("GET", item.key, headers=headers, most=LIMITS.message).body

    def copy(self, item: StoredObject, key: str) -> None:
        """Copy an object within the bucket (CopyObject)."""
        source = signature.encoded_path(self._config.bucket, item.key)
        headers = {"x-amz-copy-source": source}
        headers |= {"x-amz-copy-source-if-match": item.etag} if item.etag else {}
        page = self._send("PUT", key, headers=headers)
        if documents.is_error(page.body):
            raise _refusal(page)

    def delete(self, key: str) -> None:
        """Delete an object (DeleteObject)."""
        self._send("DELETE", key)

    def _send(
        self,
        method: _Method,
        key: str = "",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        most: int = MAX_RESPONSE,
    ) -> Page:
        """Send a signed request, and return the response to it.

        most    bytes of the response
        raises  ServiceRefusal if the service refused it; MailboxError
        """
        config, query = self._config, query or {}
        segments = [config.bucket, key] if config.addressing == "path" else [key]
        path = signature.encoded_path(*segments)
        port = f":{config.port}" if config.port not in (None, 443) else ""
        unsigned = UnsignedRequest(
            method=method,
            path=path,
            query=query,
            headers={"host": f"{config.host}{port}", **(headers or {})},
        )
        signed = signature.signed_headers(unsigned, self._key, wall_clock.now())
        del signed["host"]  # the client adds it
        request = Request(
            method=method,
            headers=signed,
            port=config.port,
            max_response_bytes=most,
            ca_certificates=config.ca_certificates or None,
        )
        target = f"{path}?{signature.encoded_query(query)}" if query else path
        page = self._access.fetch(config.host, target, request)
        if not 200 <= page.status < 300:
            raise _refusal(page)
        return page


class S3Mailbox:
    """The objects of a bucket, as a ``Mailbox``.

    message_count  None, because only a complete list has it
    read_count     None, because S3 does not know read objects
    """

    message_count: int | None = None
    read_count: int | None = None

    def __init__(self, bucket: Bucket, config: S3Config) -> None:
        self._bucket, self._config = bucket, config

    @property
    def keeps_messages(self) -> bool:
        """Whether imported objects are listed again."""
        return self._config.after_import == "keep"

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the objects by key; raises MailboxError."""
        token: str | None = None
        for _ in range(MAX_PAGES):
            page = self._bucket.page(token, PAGE_SIZE)
            for item in page.objects:
                if not item.key.endswith("/"):  # a folder, as some tools create them
                    yield self._message(item)
            if page.token is None:
                return
            token = page.token
        raise MailboxError(f"the list of objects has more than {MAX_PAGES} pages")

    def test(self) -> None:
        """List one object; raises MailboxError."""
        self._bucket.page(None, 1)

    def _message(self, item: StoredObject) -> WaitingMessage:
        return WaitingMessage(
            key=f"{item.etag} {item.key}",
            name=item.key if item.key.isprintable() else quote(item.key, safe="/"),
            size=lambda: item.size_bytes,
            read=partial(self._read, item),
            acknowledge=partial(self._acknowledge, item),
        )

    def _read(self, item: StoredObject) -> bytes:
        with _one_object():
            return self._bucket.get(item)

    def _acknowledge(self, item: StoredObject) -> None:
        config = self._config
        with _one_object():
            if config.after_import == "move":
                name = item.key.removeprefix(config.prefix)
                self._bucket.copy(item, f"{config.done_prefix}{name}")
            if config.after_import in ("move", "delete"):
                self._bucket.delete(item.key)


@contextmanager
def _one_object() -> Iterator[None]:
    """Raise an error about one object within the block as MessageError, as others may succeed."""
    try:
        yield
    except ServiceRefusal as error:
        raise MessageError(str(error)) from None
    except ResponseTooLarge:  # it was smaller when it was listed
        raise MessageError(f"larger than {LIMITS.message // 1024**2} MiB") from None


def _refusal(page: Page) -> MailboxError:
    """Return the error for a request that the service refused."""
    error = documents.read_error(page.body)
    words = _printable(error.message).rstrip(".")[:MAX_WORDS]
    words = words or f"the service answered {page.status}"
    reason = f"{words} ({_printable(error.code)[:MAX_CODE]})" if error.code else words
    if page.status in (429, 503) or error.code in _THROTTLING:
        wait = retry_after.wait(page.retry_after, wall_clock.now())
        seconds = DEFAULT_WAIT_SECONDS if wait is None else wait.total_seconds()
        return MailboxError(reason, retry_after_seconds=seconds)
    if error.code in _EXPIRED:
        return SignInRequired(f"{reason}. Enter new temporary credentials.")
    advice = _ADVICE.get(error.code)
    return ServiceRefusal(f"{reason}. {advice}" if advice else reason)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()
