"""What checks and verdicts are called in sentences and on pages."""

VERDICTS = {
    "ok": "Pass",
    "info": "For information",
    "warn": "Warning",
    "fail": "Fail",
    "undetermined": "Could not check",
}
_RANKS = ("ok", "info", "warn", "fail")


def check_name(name: str) -> str:
    """Return the name of a check as people write it: ``MTA-STS`` for ``mta_sts``."""
    return {"rdns": "Reverse DNS"}.get(name, name.replace("_", "-").upper())


def is_worse(before: str, after: str) -> bool:
    """Whether the definite verdict ``after`` is worse than ``before``."""
    return _RANKS.index(after) > _RANKS.index(before)
