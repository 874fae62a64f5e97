"""The security score of a domain: the points of its checks, and recommendations.

Each check has points that depend on the use of the domain. It gets all of them for ``ok``, a part
for weaknesses, none for ``fail`` or if the mechanism is not deployed. Undetermined checks are
excluded from both sides, so that a failed lookup costs no points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.analysis.scan import root_causes
from app.analysis.scan.root_causes import RootCause
from app.checks.engine.types import Severity, Usage, Verdict

VERSION = 1  # incremented when the same findings get another score

POINTS: Mapping[Usage, Mapping[str, int]] = {
    Usage.BOTH: {
        **{"dmarc": 30, "spf": 20, "dkim": 15, "mta_sts": 8, "dnssec": 6, "mx": 5, "dns": 5},
        **{"tls_rpt": 4, "dane": 4, "rdns": 2, "caa": 1},
    },
    Usage.SENDS: {"dmarc": 38, "spf": 27, "dkim": 20, "dnssec": 7, "dns": 5, "mx": 2, "caa": 1},
    Usage.RECEIVES: {
        **{"dmarc": 30, "spf": 22, "mta_sts": 14, "dnssec": 8, "mx": 8, "dns": 5, "tls_rpt": 6},
        **{"dane": 4, "rdns": 2, "caa": 1},
    },
    Usage.PARKED: {"dmarc": 45, "spf": 35, "mx": 10, "dnssec": 5, "dns": 5},
}
SHARES = {  # of the points of a check, in percent
    Verdict.OK: 100,
    Verdict.WARN: 50,
    Verdict.INFO: 0,
    Verdict.FAIL: 0,
}
SLIGHT = 80  # percent for a warning whose findings are all of low severity
GRADES = ((90, "A"), (80, "B"), (65, "C"), (50, "D"), (0, "F"))


class CheckScore(NamedTuple):
    """The points of one check, and the maximum."""

    check: str
    points: float
    max_points: int


class Recommendation(NamedTuple):
    """A recommendation, with the points out of 100 that it gains."""

    check: str
    code: str
    summary: str
    score_gain: int
    fix: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Score:
    """The security score of a domain.

    value            0 to 100; None if no check has a result yet
    grade            A, B, C, D or F
    recommendations  the root cause first, then in descending order of their score gain
    """

    value: int | None
    grade: str | None
    points: Sequence[CheckScore]
    recommendations: Sequence[Recommendation]
    version: int = VERSION

    def as_json(self) -> dict[str, Any]:
        """Return the score as stored and as returned by the API."""
        return {
            "value": self.value,
            "grade": self.grade,
            "version": self.version,
            "points": [
                {"check": part.check, "points": part.points, "maxPoints": part.max_points}
                for part in self.points
            ],
            "recommendations": [
                {
                    "check": step.check,
                    "code": step.code,
                    "summary": step.summary,
                    "scoreGain": step.score_gain,
                    "fix": step.fix,
                }
                for step in self.recommendations
            ],
        }


def score(results: Mapping[str, Mapping[str, Any]], usage: Usage) -> Score:
    """Return the score for the last results of the checks.

    results  the last definite result of each check, as stored
    """
    parts = [
        CheckScore(check, maximum * _share(results[check]) / 100, maximum)
        for check, maximum in POINTS[usage].items()
        if check in results
    ]
    possible = sum(part.max_points for part in parts)
    if not possible:
        return Score(value=None, grade=None, points=(), recommendations=())
    value = round(100 * sum(part.points for part in parts) / possible)
    root = root_causes.of_stored(results)
    steps = [
        Recommendation(**_worst(results[part.check], root), check=part.check, score_gain=gain)
        for part in parts
        if (gain := round(100 * (part.max_points - part.points) / possible))
        and results[part.check]["findings"]
    ]
    steps.sort(key=lambda step: (not _is_root(step.code, root), -step.score_gain))
    return Score(value=value, grade=grade(value), points=parts, recommendations=steps)


def grade(value: int) -> str:
    """Return the grade of a score from 0 to 100."""
    return next(letter for least, letter in GRADES if value >= least)


def _share(result: Mapping[str, Any]) -> int:
    """The percentage of its points that a check gets."""
    verdict = Verdict(result["verdict"])
    if verdict is Verdict.WARN and all(
        Severity(finding["severity"]).rank >= Severity.LOW.rank for finding in result["findings"]
    ):
        return SLIGHT
    return SHARES[verdict]


def _is_root(code: str, root: RootCause | None) -> bool:
    return root is not None and code in root.codes


def _worst(result: Mapping[str, Any], root: RootCause | None) -> dict[str, Any]:
    """The finding to fix first: the root cause, or the most severe, preferring one with a fix."""
    worst = min(
        result["findings"],
        key=lambda finding: (
            not _is_root(finding["code"], root),
            Severity(finding["severity"]).rank,
            finding["fix"] is None,
        ),
    )
    return {name: worst[name] for name in ("code", "summary", "fix")}
