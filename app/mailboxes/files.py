"""Report files on disk: single files, folders, mbox files, Maildirs and dumps of parsedmarc.

Compressed messages and archives are read as they are; the worker opens them.
"""

import mmap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from app.mailboxes import dumps
from app.protocols.mail import mbox
from app.protocols.report_formats.limits import LIMITS

MAX_BYTES = 25 * 1024 * 1024  # of one file or message
MAX_DEPTH = 64  # of folders in one another
_UNFINISHED = "tmp"  # the folder of a Maildir for incomplete deliveries
_IGNORED = ("Thumbs.db", "desktop.ini")


class TooLarge(ValueError):
    """The file is larger than a report file may be."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file, a message of an mbox or a piece of a dump; ``read`` raises OSError or TooLarge."""

    name: str
    read: Callable[[], bytes]


def find(paths: Sequence[Path]) -> Iterator[Item]:
    """Yield all files below the paths, ordered by name; each is read on demand.

    A file that cannot be accessed is an item too, whose ``read`` raises the error. Symbolic links
    to folders are followed only if they are in ``paths``, because they may form a cycle. Hidden
    files are ignored, and hidden folders too unless they are Maildirs, as in a Maildir++.
    """
    for path in paths:
        yield from _at(path, 0)


def _at(path: Path, depth: int) -> Iterator[Item]:
    try:
        if depth > MAX_DEPTH:
            raise OSError(f"folders are nested more than {MAX_DEPTH} levels deep")
        if path.is_dir():
            for inner in _entries(path):
                yield from _at(inner, depth + 1)
        else:
            yield from _in(path)
    except OSError as error:
        yield Item(path.name, partial(_fail, error))


def _entries(folder: Path) -> Sequence[Path]:
    """The files and folders to read; the files of a Maildir itself are those of the mail server."""
    paths = sorted(folder.iterdir())
    folders = [path for path in paths if path.is_dir() and not path.is_symlink()]
    if _is_maildir(folder):
        return [path for path in folders if path.name != _UNFINISHED and _is_visible(path)]
    files = [path for path in paths if not path.is_dir() and path.name not in _IGNORED]
    return sorted(path for path in (*folders, *files) if _is_visible(path))


def _is_maildir(folder: Path) -> bool:
    return (folder / "cur").is_dir() and (folder / "new").is_dir()


def _is_visible(path: Path) -> bool:
    return not path.name.startswith(".") or _is_maildir(path)


def _in(path: Path) -> Iterator[Item]:
    if path.exists() and not path.is_file():
        raise OSError("not a regular file")  # reading a pipe would block
    inner = _mails(path) if _is_mbox(path) else _pieces(path)
    is_empty = True
    for item in inner:
        is_empty = False
        yield item
    if is_empty:
        yield Item(path.name, partial(_read, path))


def _fail(error: OSError) -> bytes:
    raise error


def _read(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise TooLarge(f"larger than {MAX_BYTES} bytes")
    return path.read_bytes()


def _is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return mbox.is_start(file.read(256))


def _mails(path: Path) -> Iterator[Item]:
    """Yield the messages of an mbox of any size, each without its ``From `` line."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for number, (start, end) in enumerate(mbox.ranges(content), 1):
            yield Item(f"{path.name} #{number}", partial(_message, path, start, end))


def _pieces(path: Path) -> Iterator[Item]:
    """Yield the pieces of a dump that has too many records for one file."""
    if path.stat().st_size <= LIMITS.json_values or not dumps.is_dump(path):
        return
    pieces = dumps.pieces(path)
    if len(pieces) > 1:
        for number, spans in enumerate(pieces, 1):
            yield Item(f"{path.name} #{number}", partial(_piece, path, spans))


def _piece(path: Path, spans: Sequence[dumps.Span]) -> bytes:
    if sum(end - start for start, end in spans) > MAX_BYTES:
        raise TooLarge(f"larger than {MAX_BYTES} bytes, which are the records of one report")
    return dumps.read(path, spans)


def _message(path: Path, start: int, end: int) -> bytes:
    if end - start > MAX_BYTES:
        raise TooLarge(f"larger than {MAX_BYTES} bytes")
    with path.open("rb") as file:
        file.seek(start)
        return mbox.unescaped(file.read(end - start))
