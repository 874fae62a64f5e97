"""Objects in a bucket on loopback, whose service verifies each signature."""

from dataclasses import replace
from typing import Any

import pytest
import trustme

from app.errors import InvalidRequest
from app.mailboxes.s3 import bucket as s3
from app.mailboxes.s3.bucket import S3Config
from app.mailboxes.types import Mailbox, MailboxError, MessageError, SignInRequired
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes.access import Connection
from tests.support import s3_mailboxes, s3_server
from tests.support.s3_mailboxes import served
from tests.support.s3_server import Bucket

pytestmark = [
    pytest.mark.usefixtures("database"),  # the client reads settings
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]

KEYS = (
    *("a/1", "a/2.xml", "a/with space+plus&amp;", "a/ä€😀.xml", "a//double", "a/../up", "a/%2F?#"),
    *("a/google.com!acme.test!1767225600!1767311999.xml.gz", "a/tab\t", "a/~tilde'(quote)*"),
)


def connect(config: S3Config) -> Connection:
    return Connection(config=config, is_private=False, network=s3_mailboxes.network())


def fetch(mailbox: Mailbox) -> dict[str, bytes]:
    """Read and acknowledge all objects."""
    contents = {}
    for message in mailbox.messages():
        contents[message.name] = message.read()
        message.acknowledge()
    return contents


def open_and_fetch(config: S3Config) -> dict[str, bytes]:
    """Open the bucket, and read and acknowledge all objects."""
    with connect(config).opened() as mailbox:
        return fetch(mailbox)


def named(contents: dict[str, bytes]) -> dict[str, bytes]:
    """The contents by the names that people see."""
    return {key.replace("\t", "%09"): content for key, content in contents.items()}


def failure_of(config: S3Config) -> MailboxError:
    """The reason why the bucket cannot be read."""
    with pytest.raises(MailboxError) as raised:
        open_and_fetch(config)
    return raised.value


@pytest.mark.parametrize("addressing", ["virtual", "path"])
@pytest.mark.parametrize("ignored", [set(), {"encoding-type"}], ids=["encoded", "plain"])
def test_objects_of_any_key_are_read(addressing: str, ignored: set[str]) -> None:
    bucket = Bucket({key: key.encode() for key in KEYS}, page_size=3, ignores=ignored)
    with served(bucket, addressing=addressing) as config:
        assert open_and_fetch(config) == named(bucket.content)
    assert bucket.content.keys() == set(KEYS)


@pytest.mark.parametrize("addressing", ["virtual", "path"])
def test_imported_objects_move_to_the_other_prefix(addressing: str) -> None:
    contents = {key: key.encode() for key in KEYS}
    bucket = Bucket({**contents, "b": b"other"})
    options = {"after_import": "move", "prefix": "a/", "done_prefix": "done/"}
    with served(bucket, addressing=addressing, **options) as config:
        assert open_and_fetch(config) == named(contents)
        assert open_and_fetch(config) == {}
    moved = {f"done/{key.removeprefix('a/')}": content for key, content in contents.items()}
    assert bucket.content == {**moved, "b": b"other"}


def test_imported_objects_are_deleted() -> None:
    bucket = Bucket({key: key.encode() for key in KEYS})
    with served(bucket, after_import="delete") as config:
        open_and_fetch(config)
    assert bucket.content == {}


def test_session_token_is_sent_and_signed_and_its_end_pauses_the_mailbox() -> None:
    bucket = Bucket({"a": b"x"}, session="token/+==")
    with served(bucket, session_token="token/+==") as config:
        assert open_and_fetch(config) == {"a": b"x"}
        bucket.session = "another"
        error = failure_of(config)
    assert isinstance(error, SignInRequired)
    assert "The provided token has expired (ExpiredToken). Enter new temporary" in str(error)


def test_own_authority_is_trusted_for_the_bucket_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = s3_mailboxes.AUTHORITY.cert_pem.bytes().decode()
    bucket = Bucket({"a": b"x"})
    with served(bucket) as config:
        with monkeypatch.context() as patch:
            patch.delenv("SSL_CERT_FILE")
            assert "certificate" in str(failure_of(config))
            assert open_and_fetch(replace(config, ca_certificates=certificates)) == {"a": b"x"}
        other = trustme.CA().cert_pem.bytes().decode()
        assert "certificate" in str(failure_of(replace(config, ca_certificates=other)))


def test_list_is_requested_page_by_page() -> None:
    bucket = Bucket({f"{number:02}": b"x" for number in range(10)}, page_size=4)
    with served(bucket) as config, connect(config).opened() as mailbox:
        names = [message.name for message, _ in zip(mailbox.messages(), range(5), strict=False)]
    assert names == ["00", "01", "02", "03", "04"]
    assert bucket.requests == [("GET", ""), ("GET", "")]


def test_list_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "MAX_PAGES", 2)
    bucket = Bucket({f"{number:02}": b"x" for number in range(10)}, page_size=2)
    with served(bucket) as config:
        assert str(failure_of(config)) == "the list of objects has more than 2 pages"


def test_folders_are_no_objects() -> None:
    bucket = Bucket({"a/": b"", "a/b": b"x"})
    with served(bucket) as config:
        assert open_and_fetch(config) == {"a/b": b"x"}


def test_object_with_another_content_has_another_key() -> None:
    bucket = Bucket({"a": b"x"})
    with served(bucket) as config, connect(config).opened() as mailbox:
        [first] = mailbox.messages()
        bucket.content["a"] = b"y"
        [second] = mailbox.messages()
        assert (first.name, first.key == second.key) == (second.name, False)
        with pytest.raises(MessageError, match="PreconditionFailed"):
            first.read()


def test_object_that_was_replaced_is_not_moved() -> None:
    bucket = Bucket({"a/1": b"x"})
    options = {"after_import": "move", "prefix": "a/", "done_prefix": "done/"}
    with served(bucket, **options) as config, connect(config).opened() as mailbox:
        [message] = mailbox.messages()
        bucket.content["a/1"] = b"y"
        with pytest.raises(MessageError, match="PreconditionFailed"):
            message.acknowledge()
    assert bucket.content == {"a/1": b"y"}


def test_object_that_has_grown_is_refused_without_an_end_of_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "LIMITS", replace(LIMITS, message=1024))
    bucket = Bucket({"a": b"x" * 2048, "b": b"y"}, sizes={"a": 10})
    with served(bucket) as config, connect(config).opened() as mailbox:
        large, small = mailbox.messages()
        with pytest.raises(MessageError, match="larger than"):
            large.read()
        assert small.read() == b"y"


def test_names_and_reasons_are_printable() -> None:
    bucket = Bucket({"a/\x1b[2J": b"x"})
    bucket.refusals[("GET", "a/\x1b[2J")] = (403, "Denied\x85" * 20, "Not\x85allowed")
    with served(bucket) as config, connect(config).opened() as mailbox:
        [message] = mailbox.messages()
        with pytest.raises(MessageError) as raised:
            message.read()
    assert message.name == "a/%1B%5B2J"
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 100


def test_size_is_that_of_the_list() -> None:
    bucket = Bucket({"a": b"x"}, sizes={"a": 10**12})
    with served(bucket) as config, connect(config).opened() as mailbox:
        assert [message.size() for message in mailbox.messages()] == [10**12]


def test_object_that_is_larger_than_the_list_says_is_not_read_completely() -> None:
    bucket = Bucket({"a": b"x" * (LIMITS.message + 1)}, sizes={"a": 1})
    with served(bucket) as config:
        assert "larger than 25 MiB" in str(failure_of(config))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret_access_key": "wrong"}, "(SignatureDoesNotMatch). Check the secret access key"),
        ({"access_key_id": "AKIA"}, "does not exist in our records (InvalidAccessKeyId). Check"),
        ({"region": "us-east-1"}, "expecting 'eu-central-1' (AuthorizationHeaderMalformed)"),
        ({"bucket": "other", "addressing": "path"}, "(NoSuchBucket). Check the bucket and"),
    ],
)
def test_refusal_has_the_words_of_the_service(options: dict[str, str], words: str) -> None:
    with served(Bucket({"a": b"x"}), **options) as config:
        assert words in str(failure_of(config))


def test_object_that_the_service_refuses_does_not_affect_others() -> None:
    bucket = Bucket({"a": b"x", "b": b"y"})
    bucket.refusals[("GET", "a")] = (403, "AccessDenied", "Access\x9b Denied.")
    with served(bucket) as config, connect(config).opened() as mailbox:
        first, second = mailbox.messages()
        with pytest.raises(MessageError, match=r"^Access. Denied \(AccessDenied\)\. The access"):
            first.read()
        assert second.read() == b"y"


@pytest.mark.parametrize(
    ("headers", "seconds"), [({"Retry-After": "7"}, 7.0), ({}, s3.DEFAULT_WAIT_SECONDS)]
)
def test_throttling_says_how_long_to_wait(headers: dict[str, str], seconds: float) -> None:
    bucket = Bucket({"a": b"x"}, headers=headers)
    bucket.refusals[("GET", "a")] = (503, "SlowDown", "Please reduce your request rate.")
    with served(bucket) as config:
        failure = failure_of(config)
    assert not isinstance(failure, MessageError)
    assert (failure.retry_after_seconds, str(failure)) == (
        seconds,
        "Please reduce your request rate (SlowDown)",
    )


@pytest.mark.parametrize(
    "document",
    [
        b"<html>no list</html>",
        b"not XML",
        b"<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
        b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
        b'<!DOCTYPE x [<!ENTITY a "b">]><ListBucketResult>&a;</ListBucketResult>',
        b"<ListBucketResult>" + b"<a>" * 20,
    ],
)
def test_malformed_list_is_an_error(document: bytes) -> None:
    with served(Bucket({}, document=document)) as config:
        assert "the service sent a malformed list: " in str(failure_of(config))


def test_unknown_error_has_the_status() -> None:
    bucket = Bucket({"a": b"x"})
    bucket.refusals[("GET", "")] = (500, "", "")
    with served(bucket) as config:
        assert str(failure_of(config)) == "the service answered 500"


@pytest.mark.parametrize("endpoint", ["127.0.0.1", "localhost", "[::1]"])
def test_endpoint_without_a_public_name_is_refused(endpoint: str) -> None:
    bucket = Bucket({"a": b"x"})
    with served(bucket, endpoint=endpoint, addressing="path") as config:
        assert "refused_address" in str(failure_of(config))
    assert bucket.requests == []


def test_credentials_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3_server.ACCESS_KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3_server.SECRET_ACCESS_KEY)
    with served(Bucket({"a": b"x"}), access_key_id="", secret_access_key="") as config:
        assert "(AccessDenied)" in str(failure_of(config))


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"bucket": "a/b"}, "bucket"),
        ({"bucket": "ab"}, "bucket"),
        ({"region": "eu central"}, "region"),
        ({"bucket": "a.b.c"}, "addressing"),
        ({"after_import": "move"}, "done_prefix"),
        ({"after_import": "move", "prefix": "a/", "done_prefix": "a/done/"}, "done_prefix"),
        ({"after_import": "move", "done_prefix": "done/"}, "done_prefix"),
        ({"after_import": "burn"}, "after_import"),
        ({"endpoint": "not a host"}, "endpoint"),
        ({"secret_access_key": ""}, "secret_access_key"),
        ({"ca_certificates": "x"}, "ca_certificates"),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], field: str) -> None:
    valid = S3Config(
        bucket="reports",
        access_key_id=s3_server.ACCESS_KEY_ID,
        secret_access_key=s3_server.SECRET_ACCESS_KEY,
    )
    assert valid.checked().host == "reports.s3.us-east-1.amazonaws.com"
    with pytest.raises(InvalidRequest) as raised:
        replace(valid, **options).checked()
    assert [error["field"] for error in raised.value.extra["details"]] == [field]
