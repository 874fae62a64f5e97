"""``./dev release VERSION``: the version, the changelog section, a commit and a tag."""

import re
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from devtools import ROOT, CommandError
from devtools.environment import say

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_PROJECT_VERSION = re.compile(r'^version = "([^"]+)"$', re.MULTILINE)


def release(arguments: Sequence[str], root: Path = ROOT) -> int:
    """Set the version, date its changelog section, commit and tag; push nothing.

    raises  CommandError if the tree has changes, the version is not newer than the last release,
            or the changelog has no section for it
    """
    if len(arguments) != 1 or not _VERSION.fullmatch(arguments[0]):
        raise CommandError("./dev release takes one argument: a version, like 0.3.0")
    version = arguments[0]
    _check_tree(version, root)
    project, changelog = root / "pyproject.toml", root / "CHANGELOG.md"
    today = datetime.now(UTC).date().isoformat()
    project_text = with_version(project.read_text(), version)
    changelog_text = with_date(changelog.read_text(), version, today)
    project.write_text(project_text)
    changelog.write_text(changelog_text)
    _git(root, "add", project.name, changelog.name)
    _git(root, "commit", "--quiet", "--message", f"release: {version}")
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"mailwatch {version}")
    say(f"committed and tagged v{version}; publish it with `git push --follow-tags`")
    return 0


def with_version(project: str, version: str) -> str:
    """Return the text of pyproject.toml with this version.

    raises  CommandError if the present version is newer
    """
    match = _PROJECT_VERSION.search(project)
    if match is None:
        raise CommandError("pyproject.toml has no version")
    if _numbers(version) < _numbers(match[1]):
        raise CommandError(f"{version} is older than the present version {match[1]}")
    return _PROJECT_VERSION.sub(f'version = "{version}"', project, count=1)


def with_date(changelog: str, version: str, date: str) -> str:
    """Return the changelog with a dated section for this version.

    The section is ``## [VERSION] - unreleased`` if there is one, else ``## [Unreleased]``.

    raises  CommandError if there is no such section, or nothing in it
    """
    for heading in (f"## [{version}] - unreleased", "## [Unreleased]"):
        section = re.search(
            rf"^{re.escape(heading)}\n(.*?)(?=^## |^\[|\Z)", changelog, re.MULTILINE | re.DOTALL
        )
        if section and section[1].strip():
            return changelog.replace(f"{heading}\n", f"## [{version}] - {date}\n", 1)
    raise CommandError(f"CHANGELOG.md has no entries for {version} below `## [Unreleased]`")


def _check_tree(version: str, root: Path) -> None:
    if _git(root, "status", "--porcelain"):
        raise CommandError("the tree has changes that are not committed; commit or stash them")
    if _git(root, "tag", "--list", f"v{version}"):
        raise CommandError(f"the tag v{version} exists; choose another version")


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True)
    if result.returncode:
        raise CommandError(f"`git {arguments[0]}` failed:\n{result.stderr.strip()}")
    return result.stdout.strip()
