"""Limits guesses of the current password or a code by a signed-in user.

A stolen session must not lead to a stolen password: each view that requires the current password
wraps its service call in ``limited()``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import current_app, g

from app.errors import InvalidRequest, TooManyAttempts
from app.web.base import pages
from app.web.sign_in.login_throttle import LoginThrottle

SECRETS = frozenset({"current", "code"})  # the fields that a guess is in


@contextmanager
def limited() -> Iterator[None]:
    """Run the block if the session may guess once more.

    The guess counts as failed if the block raises InvalidRequest about a field of SECRETS.

    raises  TooManyAttempts before the block runs: after 5 failures once a minute, and then at
            intervals that double up to an hour
    """
    throttle: LoginThrottle = current_app.extensions["login_throttle"]
    if wait := throttle.start_guess(g.session_token):
        raise TooManyAttempts(pages.too_many(wait), wait)
    try:
        yield
    except InvalidRequest as error:
        fields = {detail["field"] for detail in error.extra["details"]}
        if fields.isdisjoint(SECRETS):
            throttle.withdraw_guess(g.session_token)
        raise
    throttle.succeed_guess(g.session_token)
