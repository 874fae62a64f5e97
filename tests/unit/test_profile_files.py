"""Compliance profiles from files: the built-in ones, and those of PROFILES_FILE."""

import re
from pathlib import Path

import pytest

from app.services.core import profiles
from app.settings import InvalidSettings
from tests.support.paths import DOCS

VALID = """
[[profiles]]
id = "house-rules"
name = "House rules"
description = "What our security team requires."
source = "https://intranet.example/email"
source_date = "2026-03"

[[profiles.clauses]]
id = "reject"
text = "The DMARC policy is reject."
usages = ["parked"]
facts = [{ fact = "dmarc.effective_policy", one_of = ["reject"] }]
remediation = "Raise the policy."

[[profiles.clauses]]
id = "training"
text = "People report phishing."
not_observable = "DNS does not show it."
"""


def write(folder: Path, text: str) -> str:
    path = folder / "profiles.toml"
    path.write_text(text)
    return str(path)


def errors(folder: Path, text: str) -> list[str]:
    with pytest.raises(InvalidSettings) as raised:
        profiles.load(write(folder, text))
    return str(raised.value).splitlines()


def test_own_profiles_follow_the_builtin_ones(tmp_path: Path) -> None:
    *builtin, own = profiles.load(write(tmp_path, VALID))
    assert tuple(builtin) == profiles.load(None)
    assert (own.id, own.source_date) == ("house-rules", "2026-03")
    reject, training = own.clauses
    assert (reject.usages, reject.checks, reject.is_observable) == (("parked",), ("dmarc",), True)
    assert (reject.source, training.unobservable_reason) == (own.source, "DNS does not show it.")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"dmarc.effective_policy"', '"dmarcs.policy"', "fact: no check has the fact"),
        ('one_of = ["reject"]', 'oneof = ["reject"]', "oneof: unknown field"),
        ('one_of = ["reject"]', "one_of = 3", "one_of: must be a list"),
        ('["parked"]', '["idle"]', "usages: unknown usage 'idle'"),
        ('usages = ["parked"]', 'fails_on = ["dmarc.weak"]', "unknown finding code 'dmarc.weak'"),
        ('text = "The DMARC policy is reject."', "", "text: must be a text that is not empty"),
        ('remediation = "Raise the policy."', "", "remediation: must be a text"),
        ('remediation = "Raise the policy."', 'not_observable = "x"', "needs either facts or"),
        ('usages = ["parked"]', 'source = "ftp://a"', "source: must be an http: or https: URL"),
    ],
)
def test_error_names_file_profile_and_clause(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    where = "PROFILES_FILE: profiles.toml: profile house-rules: clause reject: "
    assert any(
        line.startswith(where) and message in line
        for line in errors(tmp_path, VALID.replace(old, new))
    )


def test_documented_example_is_valid(tmp_path: Path) -> None:
    [example] = re.findall(r"```toml\n(.*?)```", (DOCS / "profiles.md").read_text(), re.DOTALL)
    assert profiles.load(write(tmp_path, example))[-1].id == "house-rules"


def test_every_error_is_reported_at_once(tmp_path: Path) -> None:
    text = VALID.replace('"parked"', '"idle"').replace('"reject"\ntext', '"Reject!"\ntext')
    assert len(errors(tmp_path, text)) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profiles = [", "profiles.toml: "),
        ("", "profiles: must be a list of tables"),
        (VALID.replace("house-rules", "cisa-bod-18-01"), "id: is used twice"),
        (VALID.replace('"training"', '"reject"'), "clause reject: id: is used twice"),
        (VALID.replace("2026-03", "March"), "source_date: must be text like"),
        (VALID + VALID, "profile house-rules: id: is used twice"),
    ],
)
def test_invalid_file_is_rejected(tmp_path: Path, text: str, message: str) -> None:
    assert any(message in line for line in errors(tmp_path, text))


def test_profile_without_observable_clause_is_rejected(tmp_path: Path) -> None:
    text = VALID[: VALID.index("[[profiles.clauses]]")] + VALID[VALID.rindex("[[profiles.") :]
    [line] = errors(tmp_path, text)
    assert line.endswith("profile house-rules: clauses: at least one must be observable")
