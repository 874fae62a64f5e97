"""Fuzz tests: no input makes a parser raise anything other than its own errors."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS

EXAMPLES = 150


@pytest.mark.parametrize("name", TARGETS)
def test_parser_raises_only_its_own_errors(name: str) -> None:
    target = TARGETS[name]
    pieces = st.one_of(
        st.sampled_from(target.fragments),
        st.sampled_from(target.seeds),
        st.binary(max_size=8),
        st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
    )
    begun = st.tuples(st.sampled_from(target.seeds), st.lists(pieces, max_size=6))
    inputs = st.one_of(
        st.lists(pieces, max_size=12).map(b"".join),
        begun.map(lambda parts: parts[0] + b"".join(parts[1])),
    )

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def hold(data: bytes) -> None:
        target.run(data)

    hold()


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_parsed_or_rejected(name: str) -> None:
    target = TARGETS[name]
    assert target.seeds
    for seed in target.seeds:
        target.run(seed)
