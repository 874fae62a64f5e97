"""What `flask mailboxes` and `flask sinks` share: pause, resume and remove one by its id."""

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from click.testing import Result
from sqlalchemy.engine import Engine

from app import ids
from app.mailboxes.imap import ImapConfig
from app.services.forwarding import sinks
from app.services.mailboxes import mailboxes
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_app
from tests.support.forwarding_sinks import add_sink

Run = Callable[..., Result]


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account("Acme").id


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app = make_app(database, settings)

    def invoke(*arguments: str, typed: str | None = None) -> Result:
        return app.test_cli_runner().invoke(args=arguments, input=typed)

    return invoke


@pytest.fixture(params=["mailboxes", "sinks"])
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def public_id(account_id: UUID, group: str) -> str:
    if group == "sinks":
        options = {"url": "https://siem.acme.test/"}
        return ids.public("sink", add_sink(account_id, "webhook", options, name="siem"))
    config = ImapConfig(host="imap.acme.test", username="reports@acme.test", password="x")
    return ids.public("mbx", mailboxes.add(account_id, config, actor=ACTOR).id)


SUBJECTS = {"mailboxes": "Mailbox {} (imap, reports@acme.test)", "sinks": "Sink {} (webhook, siem)"}
NAMES = {"mailboxes": "reports@acme.test", "sinks": "siem"}
SERVICES: dict[str, Callable[[UUID], Sequence[Any]]] = {
    "mailboxes": mailboxes.search,
    "sinks": sinks.search,
}


def test_pause_and_resume_say_what_they_did_and_how_to_undo_it(
    account_id: UUID, run: Run, group: str, public_id: str
) -> None:
    target = ("--account", "Acme", public_id)
    subject = SUBJECTS[group].format(public_id)
    paused = run(group, "pause", *target)
    assert paused.exit_code == 0
    assert f"{subject} is paused." in paused.output
    command = paused.output.rpartition("flask ")[2].split()
    assert command == [group, "resume", *target]
    assert SERVICES[group](account_id)[0].paused_at is not None
    resumed = run(*command)
    assert f"{subject} is active." in resumed.output
    assert resumed.output.rpartition("flask ")[2].split() == [group, "pause", *target]
    assert SERVICES[group](account_id)[0].paused_at is None


def test_one_is_removed_only_after_its_name_was_typed(
    account_id: UUID, run: Run, group: str, public_id: str
) -> None:
    target = (group, "remove", "--account", "Acme", public_id)
    refused = run(*target, typed="other\n")
    assert refused.exit_code == 1
    assert "Nothing was changed" in refused.output
    assert f"flask {group} pause --account Acme {public_id}" in refused.output
    assert len(SERVICES[group](account_id)) == 1
    removed = run(*target, typed=f"{NAMES[group]}\n")
    assert removed.exit_code == 0, removed.output
    assert "was deleted." in removed.output
    assert SERVICES[group](account_id) == []


def test_script_confirms_with_an_option(
    account_id: UUID, run: Run, group: str, public_id: str
) -> None:
    target = (group, "remove", "--account", "Acme", public_id)
    refused = run(*target)
    assert refused.exit_code == 1
    assert "There is no terminal to confirm on. Add --yes" in refused.output
    assert len(SERVICES[group](account_id)) == 1
    assert run(*target, "--yes").exit_code == 0
    assert SERVICES[group](account_id) == []


@pytest.mark.parametrize("act", ["pause", "resume", "remove", "show"])
def test_unknown_ids_and_accounts_are_named(
    account_id: UUID, run: Run, group: str, public_id: str, act: str
) -> None:
    unknown = ids.public(public_id.partition("_")[0], ids.new())
    noun = SUBJECTS[group].partition(" ")[0].lower()
    result = run(group, act, "--account", "Acme", unknown)
    assert result.exit_code == 1
    assert f"Not found: {noun} {unknown}. List them with: flask {group} list" in result.output
    result = run(group, act, "--account", "Missing", public_id)
    assert result.exit_code == 1
    assert "Account 'Missing' not found. List them with: flask accounts list" in result.output
    result = run(group, act, "--account", "Acme", "7")
    assert result.exit_code == 2
    assert "expected format" in result.output
    make_account("Other")
    result = run(group, act, "--account", "Other", public_id)
    assert result.exit_code == 1
    assert len(SERVICES[group](account_id)) == 1
