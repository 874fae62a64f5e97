import copy
import json

import pytest

from app.protocols import tags, uris


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        (" ; ;", []),
        ("v=DMARC1;p=none", [("v", "DMARC1"), ("p", "none")]),
        (" v = DMARC1 ;\tp\t=\tnone ; ", [("v", "DMARC1"), ("p", "none")]),
        ("n=a = b; p=", [("n", "a = b"), ("p", "")]),
        ("p; =x", [("", "p"), ("", "x")]),
        ("a=1;a=2", [("a", "1"), ("a", "2")]),
    ],
)
def test_tag_list_is_split_in_order(text: str, pairs: list[tuple[str, str]]) -> None:
    assert tags.split(text) == pairs


def test_only_ascii_is_lowercased() -> None:
    assert tags.lowered("ReJect") == "reject"
    assert tags.lowered("\u212a") == "\u212a"  # the Kelvin sign, whose lower case is k


def test_list_value_is_split() -> None:
    assert tags.items(" a : b ::c:") == ("a", "b", "c")


def test_repeated_names_are_listed_once() -> None:
    assert tags.repeated(["a", "b", "a", "c", "b", "a"]) == ("a", "b")


@pytest.mark.parametrize(
    ("text", "is_attempt"),
    [
        ("v=DMARC1; p=none", True),
        (" v=dmarc1; p=none", True),
        ("V = DMARC2", True),
        ('"v=DMARC1; p=none"', True),
        ("v=spf1 -all", False),
        ("p=none; v=DMARC1", False),
        ("", False),
    ],
)
def test_broken_record_is_distinguished_from_other_records(text: str, is_attempt: bool) -> None:
    assert tags.claims_version(text, "DMARC") is is_attempt


@pytest.mark.parametrize(
    ("text", "scheme", "host"),
    [
        ("mailto:d@example.com", "mailto", "example.com"),
        ("MAILTO:d@Example.COM", "mailto", "example.com"),
        ("mailto:d@example.com?subject=x", "mailto", "example.com"),
        ("mailto:a%2Cb%21@example.com", "mailto", "example.com"),
        ("https://r.example.com:8443/in?x=%20#y", "https", "r.example.com"),
        ("http://user@r.example.com/", "http", "r.example.com"),
        ("ftp://r.example.com/", "ftp", None),
        ("urn:x", "urn", None),
    ],
)
def test_uri_has_host(text: str, scheme: str, host: str | None) -> None:
    uri = uris.parse(text)
    assert (uri, uri.scheme, uri.host) == (text, scheme, host)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "d@example.com",
        "mailto:",
        "mailto:example.com",
        "mailto:@example.com",
        "mailto:d@",
        "mailto:a@b@example.com",
        "mailto:d@192.0.2.1",
        "mailto:d@[192.0.2.1]",
        "mailto:d@a_b.example.com",
        "mailto:d e@example.com",
        "mailto:d@example.com!10m",
        "mailto:d@example.com,mailto:e@example.com",
        "mailto:d%4@example.com",
        "mailto:ü@example.com",
        "mailto:d@example.com\n",
        "https://",
        "https:///x",
        "https://192.0.2.1/",
        "https://[::1]/",
        "https://[::1/",
        "https://r.example.com:99999/",
        "https://r.example.com/\x00",
        "1x:y",
    ],
)
def test_invalid_report_uri_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w{2}"):
        uris.parse(text)


def test_uri_is_json_serializable_and_copyable() -> None:
    uri = uris.parse("mailto:d@example.com")
    assert json.dumps([uri]) == '["mailto:d@example.com"]'
    copied = copy.deepcopy(uri)
    assert (copied, copied.scheme, copied.host) == (uri, "mailto", "example.com")
