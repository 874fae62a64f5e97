"""Chat service addresses: accepted forms, and rejection of options that change a request."""

import json
import re
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.channels import chat
from app.channels.chat_services import ChatMessage, ChatRequest
from app.channels.types import BadTarget
from tests.support.chat_examples import ADDRESSES, EXAMPLES
from tests.support.paths import DATA, DOCS

MESSAGE = ChatMessage(
    heading="heading",
    body="body",
    url="https://watch.test/docs/alerts#x",
    severity="high",
    is_resolved=False,
    dedup_key="d" * 32,
)
SEPARATORS = ("?", "#", "#?", ";", "%3f", "%23", "/?", "/#", "/#?", "/;", "/%3f", "/%23", "&")
# All options of the Apprise 2.2 plugin for each service, by URL schema.
OPTIONS = json.loads((DATA / "chat" / "options.json").read_text())
EVERY_OPTION = sorted({name for names in OPTIONS.values() for name in names.split()})
VALUES = ("no", "yes", "http://127.0.0.1:8237/x", "file:///etc/passwd", "https://evil.test/")
HOSTS = re.compile(
    r"discord\.com|chat\.googleapis\.com|api\.line\.me|api\.(eu\.)?opsgenie\.com"
    r"|events\.(eu\.)?pagerduty\.com|api\.pagertree\.com|api\.pushover\.net"
    r"|connect\.signl4\.com|hooks\.slack\.com|alert\.victorops\.com|api\.telegram\.org"
    r"|api\.twilio\.com|webexapis\.com|[a-z0-9.-]+\.logic\.azure\.com"
    r"|[a-z0-9.-]+\.environment\.api\.powerplatform\.com"
)


def built(url: str) -> ChatRequest:
    target = chat.parse(url)
    return target.service.build(target.parts, MESSAGE)


def test_every_address_form_is_documented() -> None:
    documented = (DOCS / "alerts.md").read_text()
    for service in chat.SERVICES.values():
        for form in service.form.split(" or "):
            assert f"`{form}`" in documented


def test_every_service_has_an_example() -> None:
    assert set(EXAMPLES) == set(chat.SERVICES)


@pytest.mark.parametrize(("name", "url"), ADDRESSES)
def test_every_address_form_connects_only_to_its_service(name: str, url: str) -> None:
    assert chat.parse(url).service.name == name
    request = built(url)
    assert HOSTS.fullmatch(request.host)
    parsed = urlsplit(f"https://{request.host}{request.path}")
    assert (parsed.hostname, parsed.port, parsed.username) == (request.host, None, None)
    assert parsed.fragment == ""
    assert ".." not in request.path


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_address_forms_of_a_service_make_the_same_request(name: str) -> None:
    first, *others = (built(url) for url in EXAMPLES[name])
    assert all(other.headers == first.headers for other in others)
    if name not in ("Microsoft Teams", "Google Chat", "Telegram"):
        assert all(other == first for other in others)


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize(("name", "url"), ADDRESSES)
def test_plugin_options_are_rejected(name: str, url: str, separator: str) -> None:
    for option in EVERY_OPTION:
        for value in VALUES:
            with pytest.raises(BadTarget):
                chat.parse(f"{url}{separator}{option}={value}")


@pytest.mark.parametrize("separator", SEPARATORS)
def test_options_within_an_address_are_rejected(separator: str) -> None:
    for name, url in ADDRESSES:
        schema, _, rest = url.partition("://")
        for index in range(len(rest) + 1):
            attempt = f"{schema}://{rest[:index]}{separator}verify=no{rest[index:]}"
            try:
                request = built(attempt)
            except BadTarget:
                continue
            pytest.fail(f"{name}: {attempt} leads to {request.host}{request.path}")


@given(
    st.sampled_from([url for _, url in ADDRESSES]),
    st.integers(0, 200),
    st.integers(0, 3),
    st.text("?#;%&=@:/\\.abc019-_~+ \t\n[]", max_size=12),
)
def test_accepted_addresses_connect_to_known_hosts(
    url: str, index: int, removed: int, inserted: str
) -> None:
    try:
        request = built(url[:index] + inserted + url[index + removed :])
    except BadTarget:
        return
    assert HOSTS.fullmatch(request.host)
    assert re.fullmatch(r"/[A-Za-z0-9/_.:%?=&-]*", request.path)
    assert ".." not in request.path
    assert all(value.isprintable() for value in request.headers.values())


@pytest.mark.parametrize(
    "url",
    [
        "json://localhost/x",
        "xml://127.0.0.1",
        "mailto://user:pass@mail.test",
        "mmost://chat.acme.test/token",
        "syslog://",
        "dbus://",
        "file:///etc/passwd",
        "http://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://hooks.slack.com.evil.test/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "https://user@hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "slack://T1JJ3T3L2/A1BRTD4JD/../TIiajkdnlazkcOXrIdevi7FQ",
        "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ\n",
        "slack://nonsense",
        "discord://123456789012345678/token/#?verify=no&template=http://127.0.0.1:8237/x",
        "workflows://127.0.0.1/workflow/signature",
        "workflows://evil.test/workflow/signature",
        "workflows://logic.azure.com/workflow/signature",
        "workflows://logic.azure.com.evil.test/workflow/signature",
        "workflows://evil.test/logic.azure.com/signature",
        "workflows://a.logic.azure.com:8080/workflow/signature",
        "workflows://u:p@a.logic.azure.com/workflow/signature",
        "slack://T1JJ3T3L2 /x",
        "slack://Ｔ1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
        "",
    ],
)
def test_only_addresses_of_known_services_are_accepted(url: str) -> None:
    with pytest.raises(BadTarget):
        chat.parse(url)


def test_rejection_message_does_not_repeat_the_address() -> None:
    with pytest.raises(BadTarget) as caught:
        chat.parse("slack://secret-token")
    assert "secret-token" not in str(caught.value)
