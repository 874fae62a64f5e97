import json

import pytest

from app.protocols.report_formats.limits import LIMITS, ReportRejected
from app.protocols.report_formats.tls_rpt import json_text
from app.protocols.report_formats.tls_rpt.json_text import Unreadable

OBJECT = '{"a": "b\u00fc,]", "c": [1, 2]}'


def load(document: bytes) -> json_text.Loaded:
    return json_text.load(document, LIMITS)


@pytest.mark.parametrize(
    "document",
    [
        OBJECT.encode(),
        b"\xef\xbb\xbf" + OBJECT.encode(),
        b" \r\n" + OBJECT.encode() + b"\n\0\0",
        OBJECT.encode("utf-16"),
        OBJECT.encode("utf-16-le"),
        OBJECT.encode("utf-16-be"),
        b"\xfe\xff" + OBJECT.encode("utf-16-be"),
        OBJECT.replace("1", "1.0").replace("2", "2e0").encode(),
        OBJECT.replace("{", '{"a": "b\u00fc,]",').encode(),
    ],
)
def test_the_same_document_in_another_form_has_no_warning(document: bytes) -> None:
    loaded = load(document)
    assert loaded == json_text.Loaded(json.loads(OBJECT), ())
    assert {type(number) for number in loaded.value["c"]} == {int}  # type: ignore[index]


@pytest.mark.parametrize(
    ("document", "warning"),
    [
        (OBJECT.encode("cp1252"), "not_utf8"),
        (OBJECT.replace("}", ",}").encode(), "trailing_comma"),
        (OBJECT.replace("2]", "2 , \n]").encode(), "trailing_comma"),
        (OBJECT.encode() + b"\n-- \nlist", "text_around_report"),
    ],
)
def test_deviation_without_another_meaning_is_a_warning(document: bytes, warning: str) -> None:
    assert load(document) == json_text.Loaded(json.loads(OBJECT), (warning,))


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('1,"a":2', "repeated_element"),
        ('1,"a":true', "repeated_element"),
        ('1,"a":2,"a":1', "repeated_element"),
        ("NaN", "bad_number"),
        ("-Infinity", "bad_number"),
        ("9" * 21, "bad_number"),
    ],
)
def test_value_without_one_meaning_is_unreadable(written: str, reason: str) -> None:
    value = load(f'{{"a":{written},"b":1}}'.encode()).value
    assert isinstance(value, dict)
    assert isinstance(value["a"], Unreadable)
    assert (value["a"].reason, value["b"]) == (reason, 1)


@pytest.mark.parametrize(
    "document", [b"", b"{", b'{"a":1', b'{"a" 1}', b'{"a":1}{"a":2}', b"'a'", b"{,,}"]
)
def test_damaged_document_is_rejected(document: bytes) -> None:
    with pytest.raises(ReportRejected, match="not_well_formed"):
        load(document)
