"""Reports in files: single ones, folders of them, mbox files and Maildirs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

MAX_BYTES = 25 * 1024 * 1024  # of one file or mail
_MBOX = b"From "
_UNFINISHED = "tmp"  # of a Maildir: mails that are still being delivered


class TooLarge(ValueError):
    """The file is larger than a report may be."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file, or one mail of an mbox; ``read`` raises OSError or TooLarge."""

    name: str
    read: Callable[[], bytes]


def find(paths: Sequence[Path]) -> Iterator[Item]:
    """Everything below the paths, in order of name; nothing is read before it is asked for.

    raises  OSError for a path that cannot be looked at
    """
    for path in paths:
        if path.is_dir():
            is_maildir = (path / "cur").is_dir() and (path / "new").is_dir()
            below = sorted(p for p in path.iterdir() if not p.name.startswith("."))
            yield from find([p for p in below if not (is_maildir and p.name == _UNFINISHED)])
        elif _is_mbox(path):
            yield from _mails(path)
        else:
            yield Item(path.name, partial(_read, path))


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"it has more than {MAX_BYTES} bytes")
    return path.read_bytes()


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MBOX)) == _MBOX


def _mails(path: Path) -> Iterator[Item]:
    """The mails of an mbox, each without its ``From `` line (RFC 4155)."""
    begins, offset, is_between = [], 0, True
    with path.open("rb") as file:
        for line in file:
            if is_between and line.startswith(_MBOX):
                begins.append((offset, offset + len(line)))
            is_between = not line.strip()
            offset += len(line)
    ends = [start for start, _ in begins[1:]] + [offset]
    for number, ((_, begin), end) in enumerate(zip(begins, ends, strict=True), 1):
        yield Item(f"{path.name} #{number}", partial(_part, path, begin, end))


def _part(path: Path, begin: int, end: int) -> bytes:
    if end - begin > MAX_BYTES:
        raise TooLarge(f"it has more than {MAX_BYTES} bytes")
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(end - begin)
