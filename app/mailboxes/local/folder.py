"""Report files in a folder of the worker's machine, below a directory that the operator allows.

Only regular files are read, no symbolic link is followed, and a file is left alone until it has not
changed for some seconds. Folders are opened one below the other without following links, so that
a person who can write to one of them cannot redirect the worker in between.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import ClassVar

from app import wall_clock
from app.mailboxes.config import MailboxConfig
from app.mailboxes.types import Access, MailboxError, MessageError, WaitingMessage
from app.options import fields
from app.options.fields import OptionError
from app.protocols.report_formats.limits import LIMITS

QUIET_SECONDS = 10.0  # without a change, after which a file is complete
MAX_FILES = 100_000  # entries of the folder
DONE = "done"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderConfig(MailboxConfig):
    """A folder below ``MAILBOX_FOLDER_ROOT``."""

    type: ClassVar[str] = "folder"
    label: ClassVar[str] = "Folder"
    description: ClassVar[str] = "A folder on the machine of the worker."
    is_operator_only: ClassVar[bool] = True

    path: str = fields.text(
        "Path", most=500, hint="Relative to MAILBOX_FOLDER_ROOT, such as acme/reports."
    )
    after_import: str = fields.choice(
        "Imported files",
        {"move": "Move to the folder “done” in this folder", "keep": "Leave in place"},
        default="move",
    )

    @property
    def title(self) -> str:
        return self.path

    @property
    def location(self) -> str:
        return "below MAILBOX_FOLDER_ROOT"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the path."""
        path = PurePosixPath(self.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            message = "Enter a path relative to MAILBOX_FOLDER_ROOT, without “..”"
            yield OptionError("path", message)

    @contextmanager
    def opened(self, access: Access) -> Iterator["FolderMailbox"]:
        """Open the folder; raises MailboxError."""
        if access.folder_root is None:
            raise MailboxError("the operator has not set MAILBOX_FOLDER_ROOT")
        with _opened_folder(access.folder_root, self.path) as folder:
            yield FolderMailbox(folder, keeps_messages=self.after_import == "keep")


class FolderMailbox:
    """An open folder, as a ``Mailbox``."""

    message_count: int | None = None
    read_count: int | None = None

    def __init__(self, folder: int, *, keeps_messages: bool) -> None:
        self._folder, self.keeps_messages = folder, keeps_messages

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the files that are complete, oldest first; raises MailboxError."""
        complete_at = int((wall_clock.seconds() - QUIET_SECONDS) * 1e9)
        files = []
        for name in self._names():
            with suppress(OSError):
                status = os.stat(name, dir_fd=self._folder, follow_symlinks=False)
                changed_at = max(status.st_mtime_ns, status.st_ctime_ns)
                if stat.S_ISREG(status.st_mode) and changed_at <= complete_at:
                    files.append((changed_at, name, status))
        for _, name, status in sorted(files, key=lambda item: item[:2]):
            yield WaitingMessage(
                key=f"{name}/{status.st_dev}/{status.st_ino}/{status.st_mtime_ns}/{status.st_size}",
                name=_printable(name),
                size=partial(int, status.st_size),
                read=partial(self._read, name),
                acknowledge=partial(self._acknowledge, name),
            )

    def test(self) -> None:
        """Check that imported files can be moved; raises MailboxError."""
        if not self.keeps_messages and not os.access(".", os.W_OK, dir_fd=self._folder):
            raise MailboxError("the worker may not move files in this folder")

    def _names(self) -> list[str]:
        names = []
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        names.append(entry.name)
                    if len(names) > MAX_FILES:
                        raise MailboxError(f"the folder has more than {MAX_FILES:,} files")
        except OSError as error:
            raise MailboxError(f"the folder cannot be read: {error.strerror}") from None
        return names

    def _read(self, name: str) -> bytes:
        try:
            descriptor = os.open(name, _FILE, dir_fd=self._folder)
            with open(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise MessageError("not a regular file")
                content = file.read(LIMITS.message + 1)
        except OSError as error:
            raise MessageError(f"the file cannot be read: {error.strerror}") from None
        if len(content) > LIMITS.message:
            raise MessageError("the file has grown beyond the maximum size")
        return content

    def _acknowledge(self, name: str) -> None:
        """Move the file to the folder for imported ones, without replacing another file."""
        if self.keeps_messages:
            return
        try:
            with suppress(FileExistsError):
                os.mkdir(DONE, 0o770, dir_fd=self._folder)
            done = os.open(DONE, _DIRECTORY, dir_fd=self._folder)
            try:
                self._move(name, done)
            finally:
                os.close(done)
        except OSError as error:
            raise MessageError(f"the file cannot be moved: {error.strerror}") from None

    def _move(self, name: str, done: int) -> None:
        """Link the file to a free name in the other folder, and then remove it from this one."""
        for number in range(1_000):
            target = f"{name}.{number}" if number else name
            try:
                os.link(
                    name, target, src_dir_fd=self._folder, dst_dir_fd=done, follow_symlinks=False
                )
            except FileExistsError:
                is_moved = os.path.samestat(
                    os.stat(name, dir_fd=self._folder, follow_symlinks=False),
                    os.stat(target, dir_fd=done, follow_symlinks=False),
                )
                if not is_moved:
                    continue
            os.unlink(name, dir_fd=self._folder)
            return
        raise MessageError("the folder “done” has a thousand files with this name")


@contextmanager
def _opened_folder(root: str, path: str) -> Iterator[int]:
    """Open the folder below the root, one level after the other, without following links."""
    descriptors: list[int] = []
    try:
        try:
            descriptors.append(os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            for part in PurePosixPath(path).parts:
                descriptors.append(os.open(part, _DIRECTORY, dir_fd=descriptors[-1]))
        except OSError as error:
            raise MailboxError(f"the folder cannot be opened: {error.strerror}") from None
        yield descriptors[-1]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _printable(name: str) -> str:
    return "".join(character if character.isprintable() else "�" for character in name)
