"""Chat messages: no text of an alert becomes a mention, a link or markup."""

import json
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

import pytest

from app.channels import chat, chat_text
from app.channels.chat_services import ChatMessage
from tests.support.chat_examples import EXAMPLES

HOSTILE = (
    "@everyone @here <@123> <@&123> <#123> <!channel> <users/all> <at>all</at> <@all> "
    "<@personEmail:a@evil.test> [click](https://evil.test) <https://evil.test|Sign in> "
    "**b** _i_ ~s~ `c` ``` *x* > quote\n# title\n<b>b</b><script>x</script> &lt;b&gt; "
    "http://evil.test/"
)
URL = "https://watch.test/docs/alerts#spf.missing"


def sent(name: str, **changes: Any) -> Any:
    """The message to the service before it is encoded as JSON or form data."""
    target = chat.parse(EXAMPLES[name][0])
    values = {
        "heading": HOSTILE.replace("\n", " "),
        "body": HOSTILE,
        "url": URL,
        "severity": "high",
        "dedup_key": "d" * 32,
    }
    request = target.service.build(target.parts, ChatMessage(**{**values, **changes}))
    if request.headers["Content-Type"] == "application/json":
        return json.loads(request.body)
    return {key: value for key, (value,) in parse_qs(request.body.decode()).items()}


class _Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.data = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.data += data


def test_discord_message_has_no_mentions_and_only_our_link() -> None:
    message = sent("Discord")
    assert message["allowed_mentions"] == {"parse": []}
    heading, _, rest = message["content"].partition("\n```\n")
    block, _, after = rest.partition("\n```\n")
    assert "`" not in block
    assert after == f"What this means and what to do: <{URL}>"
    assert "@everyone" not in heading
    assert r"\[click\]\(https\:\/\/"[:10] in heading
    assert "](http" not in heading
    assert len(message["content"]) <= 2000


def test_google_chat_card_has_no_foreign_tags() -> None:
    message = sent("Google Chat")
    assert "text" not in message  # mentions are parsed in this field only
    heading, body, button = message["cardsV2"][0]["card"]["sections"][0]["widgets"]
    assert _Tags(heading["textParagraph"]["text"]).tags == ["b"]
    parsed = _Tags(body["textParagraph"]["text"])
    assert set(parsed.tags) == {"br"}
    assert parsed.data == HOSTILE.replace("\n", "")
    assert button["buttonList"]["buttons"][0]["onClick"]["openLink"]["url"] == URL
    assert "<" not in message["fallbackText"]


def test_slack_message_is_plain_text_with_escaped_characters() -> None:
    message = sent("Slack")
    assert (message["parse"], message["mrkdwn"]) == ("none", False)
    assert message["unfurl_links"] is message["unfurl_media"] is False
    assert "<" not in message["text"]
    shown, link = (block["text"] for block in message["blocks"])
    assert shown["type"] == "plain_text"
    assert not set("<>") & set(shown["text"])
    assert link["text"] == f"<{URL}|What this means and what to do>"


def test_teams_card_has_text_runs_without_markdown_or_mentions() -> None:
    card = sent("Microsoft Teams")["attachments"][0]["content"]
    assert "entities" not in card["msteams"]
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = [run for block in card["body"] for run in block["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert card["actions"][0]["url"] == URL


def test_webex_message_is_plain_text() -> None:
    assert set(sent("Webex")) == {"text"}


def test_telegram_message_has_no_foreign_tags() -> None:
    message = sent("Telegram")
    parsed = _Tags(message["text"])
    assert parsed.tags == ["code", "pre", "a"]
    assert HOSTILE in parsed.data
    assert message["link_preview_options"] == {"is_disabled": True}


def test_pushover_message_is_not_html() -> None:
    assert "html" not in sent("Pushover")


@pytest.mark.parametrize("name", ["Opsgenie", "PagerTree", "SIGNL4", "Splunk On-Call"])
def test_pager_messages_have_no_angle_brackets(name: str) -> None:
    assert "<" not in json.dumps(sent(name), ensure_ascii=False)


@pytest.mark.parametrize("name", list(EXAMPLES))
def test_every_service_accepts_long_text_and_test_messages(name: str) -> None:
    size = len(json.dumps(sent(name, heading="<&>`*" * 500, body="<&>`*\n" * 20_000)))
    assert size < 29_000
    assert sent(name, url=None, dedup_key=None, heading="Test", body="Test", severity="info")


@pytest.mark.parametrize("name", ["PagerDuty", "Opsgenie", "PagerTree", "SIGNL4", "Splunk On-Call"])
def test_resolution_refers_to_incident_of_same_alert(name: str) -> None:
    opened, resolved = sent(name), sent(name, is_resolved=True)
    assert opened != resolved
    assert "d" * 32 in json.dumps(opened)
    target = chat.parse(EXAMPLES[name][0])
    message = ChatMessage(
        heading="h", body="b", url=URL, severity="high", is_resolved=True, dedup_key="d" * 32
    )
    request = target.service.build(target.parts, message)
    assert "d" * 32 in request.path + request.body.decode()


@pytest.mark.parametrize("encode", [chat_text.slack, chat_text.discord, chat_text.telegram])
def test_text_is_truncated_before_encoding(encode: Any) -> None:
    for limit in (1, 10, 99):
        shown = chat_text.fit("<&>" * 100, limit, encode)
        assert len(shown) <= max(limit, 6)
        assert shown.removesuffix(encode("…")) == encode("<&>" * 100)[: len(shown) - 1]
