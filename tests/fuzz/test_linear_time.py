"""Every pattern and scanner for untrusted text takes time proportional to its length.

The patterns are collected from the modules with the methods that use them, so a new pattern is
measured automatically. The minimum CPU time of several runs is compared, so that other load on the
machine does not fail a test.
"""

import ast
import base64
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

import app
import worker
from app.protocols.dkim import verification
from app.protocols.mail import author
from tests.fuzz.targets import TARGETS

PACKAGES = (app, worker)
SMALL, FACTOR, MAX_RATIO = 1_000, 8, 24
QUICK_SECONDS = 0.02  # 8,000 characters in less time are not read repeatedly
RUNS = 5
METHODS = ("match", "fullmatch", "search", "findall", "finditer", "sub", "split")
COMMON = "aA0 \t\n\r.,;:=-_/\\\"'()<>[]{}@%!&#?*+|~\0\x7f\xa0\xff"
PREFIXES = ("", "a", "a=", "a.a=", "<a>", '"', ";boundary=", "a:")
SUFFIXES = ("", "\0\n!")


@dataclass(frozen=True, slots=True)
class Used:
    """A pattern, and the method with which a module uses it."""

    name: str
    pattern: re.Pattern[Any]
    method: str

    def run(self, text: str) -> None:
        """Apply the pattern to the whole text."""
        subject = text.encode("latin-1") if isinstance(self.pattern.pattern, bytes) else text
        if self.method == "sub":
            self.pattern.sub(subject[:0], subject)
        elif self.method == "finditer":
            for _ in self.pattern.finditer(subject):
                pass
        else:
            getattr(self.pattern, self.method)(subject)


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


@cache
def _used() -> Mapping[str, Used]:
    """All compiled patterns of the project, and all inline patterns."""
    uses: dict[str, Used] = {}
    for module in _modules():
        tree = ast.parse(Path(str(module.__file__)).read_text())
        patterns = {
            name: value for name, value in vars(module).items() if isinstance(value, re.Pattern)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
                continue
            pattern = patterns.get(node.value.id)
            if pattern is not None and node.attr in METHODS:
                label = f"{module.__name__}.{node.value.id}.{node.attr}"
                uses[label] = Used(label, pattern, node.attr)
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if written := _written(call):
                method, text = written
                label = f"{module.__name__}:{text!r}.{method}"
                uses[label] = Used(label, re.compile(text), method)
    return uses


def _written(call: ast.Call) -> tuple[str, Any] | None:
    """The method and the pattern of ``re.match("…", …)`` and the like."""
    function = call.func
    is_re = isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)
    if not is_re or function.value.id != "re" or function.attr not in METHODS:  # type: ignore[attr-defined]
        return None
    pattern = call.args[0]
    return (function.attr, pattern.value) if isinstance(pattern, ast.Constant) else None  # type: ignore[attr-defined]


def _pairs(pattern: re.Pattern[Any]) -> list[str]:
    """The pairs of characters in the pattern."""
    text = pattern.pattern
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    own = [character for character in dict.fromkeys(f"{text}a ") if character in COMMON][:12]
    pairs = [first + second for first in own for second in own if first != second]
    return pairs


def _seconds(run: Callable[[str], object], text: str, runs: int = 1) -> float:
    """The minimum CPU time of this number of runs."""
    durations = []
    for _ in range(runs):
        started = time.process_time()
        run(text)
        durations.append(time.process_time() - started)
    return min(durations)


def _assert_linear(run: Callable[[str], object], text: Callable[[int], str], what: str) -> None:
    large = text(SMALL * FACTOR)
    if _seconds(run, large) < QUICK_SECONDS:
        return
    small_seconds = _seconds(run, text(SMALL), RUNS)
    large_seconds = _seconds(run, large, RUNS)
    ratio = large_seconds / max(small_seconds, 1e-6)
    is_linear = large_seconds < QUICK_SECONDS or ratio < MAX_RATIO
    assert is_linear, f"{what}: {small_seconds:.4f} s, {FACTOR} times as much {large_seconds:.4f} s"


def _cut(prefix: str, pump: str, suffix: str) -> Callable[[int], str]:
    return lambda size: prefix + (pump * (size // len(pump))) + suffix


def _texts(pattern: re.Pattern[Any]) -> Iterator[tuple[str, Callable[[int], str]]]:
    literal = re.findall(r"[a-z]{4,}", str(pattern.pattern))[:4]
    beginnings = (*PREFIXES, *literal, *(f"<{word}>" for word in literal))
    cases = [(prefix, pump) for prefix in beginnings for pump in COMMON]
    for prefix, pump in (*cases, *(("", pair) for pair in _pairs(pattern))):
        for suffix in SUFFIXES:
            yield f"{prefix!r} {pump!r} {suffix!r}", _cut(prefix, pump, suffix)


@pytest.mark.parametrize("name", sorted(_used()))
def test_every_pattern_takes_linear_time(name: str) -> None:
    used = _used()[name]
    for what, text in _texts(used.pattern):
        _assert_linear(used.run, text, f"{name} {what}")


def test_every_module_pattern_is_measured() -> None:
    names = {name.rpartition(".")[0] for name in _used()}
    for module in _modules():
        for name, value in vars(module).items():
            if isinstance(value, re.Pattern):
                assert f"{module.__name__}.{name}" in names, f"{module.__name__}.{name} is not used"


_SIGNED = b"From: a@a.test\r\nDKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s; h=from; "
_RESULTS = b"From: a@a.test\r\nAuthentication-Results: mx.test; dkim=pass "


def _author(data: bytes) -> None:
    """Parse the header of a message for its author."""
    header = author.fields(data)
    author.author_domain(header)
    author.signatures(header, "a.test")
    author.has_further_signatures(header)
    author.is_vouched_for(header, ("mx.test",), "a.test")
    author.is_denied(header, ("mx.test",), "a.test")


@cache
def _record() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    encoding, kind = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return "v=DKIM1; p=" + base64.b64encode(key.public_bytes(encoding, kind)).decode()


def _verify(data: bytes) -> None:
    verification.verify(data, 0, _record())


# Functions that read untrusted bytes, each with beginnings of its input.
SCANNERS: Mapping[str, tuple[Callable[[bytes], object], tuple[bytes, ...], tuple[bytes, ...]]] = {
    **{name: (of.run, (b"", *of.seeds[:1]), of.fragments) for name, of in TARGETS.items()},
    "mail_author": (
        _author,
        (b"", b"From: ", b'From: "', _SIGNED, _RESULTS, b"X: a\r\n"),
        (b"\r\n ", b"a: b\r\n", b"a.a=", b"h=a:", b'\\"', b"DKIM-Signature: d=a.test\r\n"),
    ),
    "dkim_verification.verify": (
        _verify,
        (_SIGNED, _SIGNED + b"b=", _SIGNED + b"bh=aaaa; b=aaaa\r\n\r\n"),
        (b"\r\n ", b" \r\n", b"\r\n", b" \r", b"a: b\r\n", b"= "),
    ),
}


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_every_scanner_takes_linear_time(name: str) -> None:
    run, beginnings, fragments = SCANNERS[name]
    pumps = (*COMMON, *(fragment.decode("latin-1") for fragment in fragments))
    for beginning in beginnings:
        for pump in dict.fromkeys(pumps):
            text = _cut(beginning.decode("latin-1"), pump, "")
            what = f"{name} {beginning[-40:]!r} {pump!r}"
            _assert_linear(lambda data: run(data.encode("latin-1")), text, what)
