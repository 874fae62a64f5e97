"""The form of every mailbox type."""

import re
from dataclasses import MISSING
from typing import Any

import pytest
from flask import Flask

from app import ids
from app.mailboxes.registry import MAILBOX_TYPES
from app.options.fields import Kind
from app.services.mailboxes import mailboxes
from tests.support.dashboard_browser import Browser
from tests.support.factories import ACTOR
from tests.support.zones import Zone, ZoneNetwork

PAGE = "/settings/mailboxes"
SECRET = "secret-text"
TYPES = [name for name, config in MAILBOX_TYPES.items() if not config.is_operator_only]
VALUES = {Kind.TEXT: "acme", Kind.SECRET: SECRET, Kind.HOST: "mail.acme.test"}


def filled(type: str) -> dict[str, str]:
    """Values for the fields of the form that are required and have no default."""
    form = dict.fromkeys(MAILBOX_TYPES[type].options(), "")
    for name, item in MAILBOX_TYPES[type].fields().items():
        option = MAILBOX_TYPES[type].options()[name]
        form[name] = VALUES.get(option.kind, "")
        if isinstance(item.default, str) and item.default:
            form[name] = item.default
        elif not option.is_required and option.kind is not Kind.SECRET:
            form[name] = ""
    return form


@pytest.mark.parametrize("type", TYPES)
def test_every_type_has_a_form_with_its_options(browser: Browser, type: str) -> None:
    assert f'href="{PAGE}/new/{type}"' in browser.get(PAGE)
    page = browser.get(f"{PAGE}/new/{type}")
    for name, option in MAILBOX_TYPES[type].options().items():
        assert re.search(rf'name="{name}"', page), name
        assert option.title.replace("“", "&ldquo;") in page or option.title in page


@pytest.mark.parametrize("type", TYPES)
def test_empty_form_names_every_field_that_is_required(browser: Browser, type: str) -> None:
    response = browser.post(f"{PAGE}/new/{type}")
    assert response.status_code == 400
    for name, item in MAILBOX_TYPES[type].fields().items():
        option = MAILBOX_TYPES[type].options()[name]
        is_entered = option.kind in (Kind.TEXT, Kind.HOST) and item.default is MISSING
        if is_entered or option.kind is Kind.CHOICE:
            assert f'id="error-{name}"' in response.text, name


@pytest.mark.parametrize("type", TYPES)
def test_unreachable_mailbox_is_not_added_and_its_secrets_are_not_shown(
    app: Flask, browser: Browser, type: str
) -> None:
    app.extensions["network"] = ZoneNetwork(Zone({}))
    response = browser.post(f"{PAGE}/new/{type}", **filled(type))
    assert response.status_code == 400
    assert "The connection test failed" in response.text
    assert SECRET not in response.text
    assert mailboxes.search(browser.account_id) == []


@pytest.mark.parametrize("type", TYPES)
def test_form_of_a_mailbox_shows_its_options_and_no_secret(browser: Browser, type: str) -> None:
    values: dict[str, Any] = filled(type)
    config = MAILBOX_TYPES[type].parsed(values)
    row = mailboxes.add(browser.account_id, config, actor=ACTOR)
    page = browser.get(f"{PAGE}/{ids.public('mbx', row.id)}")
    for name in config.options():
        assert f'name="{name}"' in page
    assert SECRET not in page


@pytest.mark.parametrize("type", [*MAILBOX_TYPES, "x"])
def test_types_of_operators_and_unknown_types_have_no_form(browser: Browser, type: str) -> None:
    status = 200 if type in TYPES else 404
    browser.get(f"{PAGE}/new/{type}", status=status)
