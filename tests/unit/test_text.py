"""Control characters are escaped as RFC 1035 §5.1 writes octets."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.db.text import dump_json, escape, truncate

ANY = st.text(st.characters() | st.sampled_from('\0\b\f\n\x7f\x9f\\"u0'))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v=spf1 -all", "v=spf1 -all"),
        ("a\0b", r"a\000b"),
        ("\x1b[31m", r"\027[31m"),
        ("\x7f\x85", r"\127\194\133"),
        ("tab\t and\r\nlines", "tab\t and\r\nlines"),
        ("\ud800", r"\237\160\128"),
        ("größe 🙂 …", "größe 🙂 …"),
        (r"\000", r"\000"),
    ],
)
def test_control_characters_are_escaped(text: str, expected: str) -> None:
    assert escape(text) == expected
    assert orjson.loads(dump_json(text)) == expected


@given(text=ANY)
def test_escaped_text_has_no_control_characters(text: str) -> None:
    escaped = escape(text)
    assert all(
        character in "\t\n\r" or ord(character) not in (127, *range(32), *range(128, 160))
        for character in escaped
    )
    assert escape(escaped) == escaped
    escaped.encode()


@given(
    value=st.recursive(
        ANY | st.integers(0, 9) | st.none(),
        lambda inner: st.lists(inner) | st.dictionaries(ANY.map(lambda key: f"k{key}"), inner),
    )
)
def test_json_is_escaped_like_text(value: object) -> None:
    def escaped(item: object) -> object:
        if isinstance(item, str):
            return escape(item)
        if isinstance(item, list):
            return [escaped(inner) for inner in item]
        if isinstance(item, dict):
            return {escape(key): escaped(inner) for key, inner in item.items()}
        return item

    assert orjson.loads(dump_json(value)) == escaped(value)


def test_truncated_text_ends_with_an_ellipsis() -> None:
    assert [truncate("abcd", 4), truncate("abcde", 4), truncate("abcde", None)] == [
        "abcd",
        "abc…",
        "abcde",
    ]
