"""Public ids."""

from uuid import RFC_4122, UUID

import pytest

from app import ids


def test_public_id_round_trips_to_uuid() -> None:
    id = ids.new()
    assert ids.parse("dom", ids.public("dom", id)) == id


def test_new_id_is_uuid_version_7() -> None:
    assert (ids.new().version, ids.new().variant) == (7, "specified in RFC 4122")


def test_public_id_matches_published_typeid_vector() -> None:
    assert ids.public("prefix", UUID("01890a5d-ac96-774b-bcce-b302099a8057")) == (
        "prefix_01h455vb4pex5vsknk084sn02q"
    )


def test_former_prefix_of_report_files_is_accepted() -> None:
    id = ids.new()
    assert ids.parse("file", ids.public("int", id)) == id
    assert ids.parse("dom", ids.public("int", id)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "dom_",
        "dom_01h455vb4pex5vsknk084sn02",
        "scan_01h455vb4pex5vsknk084sn02q",
        "dom_81h455vb4pex5vsknk084sn02q",
        "dom_01H455VB4PEX5VSKNK084SN02Q",
        "dom_01h455vb4pex5vsknk084sn02u",
    ],
)
def test_malformed_public_id_is_rejected(text: str) -> None:
    assert ids.parse("dom", text) is None


def test_later_ids_sort_after_earlier_ones_within_a_millisecond() -> None:
    made = [ids.new() for _ in range(5000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {(id.version, id.variant) for id in made} == {(7, RFC_4122)}
