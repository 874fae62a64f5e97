"""Known vulnerabilities of the Python that runs this process, in what the service uses.

The service does not rely on the fixes: it reads archives with its own limits, and gives the XML
parser bounded input in one piece. A distribution may have the fix in a package of an older version.
"""

import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pyexpat import version_info as expat_version

logger = logging.getLogger(__name__)

Version = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Advisory:
    """A vulnerability, and the versions that have its fix.

    python  by (major, minor): the first patch level with the fix; all later minors have it
    expat   the first version with the fix, where it is one of the XML parser
    """

    id: str
    title: str
    python: Mapping[tuple[int, int], int]
    expat: Version | None = None


ADVISORIES = (
    Advisory("CVE-2024-0450", "zip archives with overlapping entries", {(3, 11): 8, (3, 12): 2}),
    Advisory(
        id="CVE-2023-52425",
        title="XML with large tokens takes quadratic time",
        python={},
        expat=(2, 6, 0),
    ),
)


def open_advisories(python: Version, expat: Version) -> list[Advisory]:
    """Those whose fix these versions of Python and of expat do not have."""
    return [
        advisory
        for advisory in ADVISORIES
        if python[2] < advisory.python.get(python[:2], 0)
        or (advisory.expat is not None and expat < advisory.expat)
    ]


def warn_if_outdated() -> None:
    """Log one warning that names the advisories which are open for this interpreter."""
    advisories = open_advisories(sys.version_info[:3], expat_version)
    if advisories:
        logger.warning(
            "this Python has known vulnerabilities; update it",
            extra={
                "python": sys.version.split()[0],
                "expat": ".".join(map(str, expat_version)),
                "advisories": [f"{advisory.id}: {advisory.title}" for advisory in advisories],
            },
        )
