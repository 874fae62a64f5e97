"""Report files on disk: single files, folders, mbox files and Maildirs."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

MAX_BYTES = 25 * 1024 * 1024  # of one file or message
_MBOX = b"From "
_UNFINISHED = "tmp"  # the folder of a Maildir for incomplete deliveries


class TooLarge(ValueError):
    """The file is larger than a report file may be."""


@dataclass(frozen=True, slots=True)
class Item:
    """One file, or one message of an mbox; ``read`` raises OSError or TooLarge."""

    name: str
    read: Callable[[], bytes]


def find(paths: Sequence[Path]) -> Iterator[Item]:
    """Yield all files below the paths, ordered by name; each is read on demand.

    A file that cannot be accessed is an item too, whose ``read`` raises the error. Symbolic links
    to folders are followed only if they are in ``paths``, because they may form a cycle.
    """
    for path in paths:
        try:
            yield from _below(path) if path.is_dir() else _in(path)
        except OSError as error:
            yield Item(path.name, partial(_fail, error))


def _below(folder: Path) -> Iterator[Item]:
    is_maildir = (folder / "cur").is_dir() and (folder / "new").is_dir()
    visible = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    excluded = {_UNFINISHED} if is_maildir else set()
    yield from find(
        [
            path
            for path in visible
            if path.name not in excluded and not (path.is_symlink() and path.is_dir())
        ]
    )


def _in(path: Path) -> Iterator[Item]:
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")  # reading a pipe would block
    if _is_mbox(path):
        yield from _mails(path)
    else:
        yield Item(path.name, partial(_read, path))


def _fail(error: OSError) -> bytes:
    raise error


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"larger than {MAX_BYTES} bytes")
    return path.read_bytes()


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MBOX)) == _MBOX


def _mails(path: Path) -> Iterator[Item]:
    """Yield the messages of an mbox, each without its ``From `` line (RFC 4155)."""
    starts, offset, is_between = [], 0, True
    with path.open("rb") as file:
        for line in file:
            if is_between and line.startswith(_MBOX):
                starts.append((offset, offset + len(line)))
            is_between = not line.strip()
            offset += len(line)
    ends = [start for start, _ in starts[1:]] + [offset]
    for number, ((_, begin), end) in enumerate(zip(starts, ends, strict=True), 1):
        yield Item(f"{path.name} #{number}", partial(_part, path, begin, end))


def _part(path: Path, begin: int, end: int) -> bytes:
    if end - begin > MAX_BYTES:
        raise TooLarge(f"larger than {MAX_BYTES} bytes")
    with path.open("rb") as file:
        file.seek(begin)
        return file.read(end - begin)
