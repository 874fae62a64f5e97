"""The documentation that findings carry in API responses."""

import pytest

from app import settings, standalone
from app.checks import FINDING_TYPES
from app.checks.engine import stored_results
from app.checks.engine.stored_results import StoredFinding
from app.checks.engine.types import CheckResult, Subject, Verdict
from app.protocols.names import DomainName
from app.services.core import finding_docs
from app.services.scans import serialization

pytestmark = pytest.mark.usefixtures("database")

KIND = FINDING_TYPES["spf.all_pass"]
RESULT = CheckResult(
    check="spf",
    logic_version=1,
    verdict=Verdict.FAIL,
    facts={},
    findings=(KIND.at("example.org"),),
    records=(),
    elapsed_ms=0,
    definite=True,
)


def test_stored_finding_has_the_texts_of_its_type() -> None:
    [finding] = stored_results.as_json(RESULT)["findings"]
    assert (finding["why"], finding["remediation"]) == (KIND.why, KIND.remediation)


def test_result_that_was_stored_without_texts_gets_those_of_the_code() -> None:
    stored = stored_results.as_json(RESULT)
    del stored["findings"][0]["why"], stored["findings"][0]["remediation"]
    [finding] = serialization.with_documentation(stored)["findings"]
    assert (finding["why"], finding["remediation"]) == (KIND.why, KIND.remediation)
    assert finding["docsUrl"] == f"{settings.current().base_url}/docs/alerts#spf.all_pass"


def test_code_that_no_longer_exists_keeps_its_stored_texts() -> None:
    stored = stored_results.as_json(RESULT)
    removed: StoredFinding = {**stored["findings"][0], "code": "spf.removed", "why": "Old text."}
    [finding] = serialization.with_documentation({**stored, "findings": [removed]})["findings"]
    assert finding["why"] == "Old text."


def test_alert_type_of_a_rule_has_a_link_and_no_texts() -> None:
    explanation = finding_docs.explain("score.below_threshold")
    assert (explanation["why"], explanation["remediation"]) == (None, None)
    assert explanation["docsUrl"].endswith("/docs/alerts#score.below_threshold")


def test_result_without_a_service_has_the_fields_of_the_api() -> None:
    [check] = standalone.as_json(Subject(DomainName("example.org")), [RESULT])["checks"]
    expected = serialization.with_documentation(stored_results.as_json(RESULT))
    assert check == {**expected, "findings": [{**expected["findings"][0], "docsUrl": ""}]}
