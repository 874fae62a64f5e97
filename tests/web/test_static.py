"""The files that browsers load: what is vendored is unchanged, and has its licence."""

import hashlib
from pathlib import Path

VENDOR = Path(__file__).resolve().parents[2] / "app" / "web" / "static" / "vendor"


def test_what_is_vendored_is_as_it_was_published() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().split("\n")[:-1]
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS"}
    assert set(sums) == there
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_every_vendored_library_has_its_licence() -> None:
    for path in VENDOR.glob("*.js"):
        assert (VENDOR / f"{path.name.partition('-')[0]}.LICENSE").read_text()
