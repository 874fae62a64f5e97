"""Static files: vendored libraries are unchanged and have their license."""

import hashlib

from tests.support.paths import ROOT

VENDOR = ROOT / "app" / "web" / "static" / "vendor"


def test_vendored_files_match_their_published_digests() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().split("\n")[:-1]
    sums = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {path.name for path in VENDOR.iterdir()} - {"SHA256SUMS"}
    assert set(sums) == there
    for name, digest in sums.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest, name


def test_every_vendored_library_has_its_license() -> None:
    for path in VENDOR.glob("*.js"):
        assert (VENDOR / f"{path.name.partition('-')[0]}.LICENSE").read_text()
