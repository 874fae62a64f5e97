"""The cache of parser results."""

from app.protocols import memoize


class Parser:
    """A parser that records its inputs."""

    def __init__(self) -> None:
        self.read: list[str] = []

    def __call__(self, text: str) -> int:
        self.read.append(text)
        return len(text)


def test_short_text_is_parsed_once() -> None:
    parser = Parser()
    parse = memoize.for_short_texts(parser.__call__)
    assert [parse("ab"), parse("ab")] == [2, 2]
    assert parser.read == ["ab"]


def test_long_text_is_not_cached() -> None:
    parser = Parser()
    parse = memoize.for_short_texts(parser.__call__)
    long = "x" * (memoize.MAX_TEXT_LENGTH + 1)
    assert [parse(long), parse(long)] == [len(long)] * 2
    assert parser.read == [long, long]
