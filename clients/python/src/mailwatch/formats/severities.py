"""Severities, and thresholds for them."""

from typing import Literal

from mailwatch.generated.models import Severity

Threshold = Literal["low", "medium", "high", "critical"]
SEVERITIES: tuple[Severity, ...] = ("info", "low", "medium", "high", "critical")


def reaches(severity: str, threshold: Threshold) -> bool:
    """Whether a severity is the threshold or above; one that a newer service has is."""
    if severity not in SEVERITIES:
        return True
    return SEVERITIES.index(severity) >= SEVERITIES.index(threshold)
