"""docs/scaling.md has the table that ``./dev bench storage`` prints."""

from bench import storage
from devtools import ROOT


def test_table_has_the_rows_and_columns_of_the_benchmark() -> None:
    printed = storage.table({kind: dict.fromkeys(storage.ROWS, 0.0) for kind in storage.KINDS})
    documented = (ROOT / "docs" / "scaling.md").read_text().splitlines()
    start = documented.index(printed.splitlines()[0])
    rows = documented[start : start + len(printed.splitlines())]
    assert [row.split("|")[1] for row in rows] == [
        row.split("|")[1] for row in printed.splitlines()
    ]
