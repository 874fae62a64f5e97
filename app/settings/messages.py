"""The messages for missing and invalid settings, in the words of this service."""

from collections.abc import Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_REQUIRED = {
    "secret_key": "set it to at least 32 random characters; keys are derived from it.",
    "database_url": "set it to postgresql://… (or sqlite:///… for one machine).",
    "redis_url": "set it to redis://…, for the queues and the rate limits.",
}
# For the types of pydantic's errors, with the values of their context.
_TEMPLATES = {
    "bool_parsing": "must be on or off",
    "int_parsing": "must be a whole number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be above {gt:.0f}",
    "greater_than_equal": "must be at least {ge:.0f}",
    "less_than": "must be below {lt:.0f}",
    "less_than_equal": "must be at most {le:.0f}",
    "literal_error": "must be {expected}",
    "string_too_short": "must have at least {min_length} characters",
    "value_error": "{error}",
}


def of_error(error: ValueError) -> Sequence[str]:
    """Return one sentence for each invalid setting, which begins with its name.

    error  one of pydantic, or one with such a sentence as its text

    No message has the value of a setting with a secret.
    """
    if not isinstance(error, ValidationError):
        return [str(error)]
    messages: dict[str, str] = {}
    for details in error.errors(include_url=False, include_input=False):
        name = str(details["loc"][0])
        messages.setdefault(name, f"{name.upper()} {_message(name, details)}")
    return list(messages.values())


def _message(name: str, details: ErrorDetails) -> str:
    if details["type"] == "missing":
        return f"is missing: {_REQUIRED[name]}"
    template = _TEMPLATES.get(details["type"])
    return f"{template.format(**details.get('ctx', {})) if template else details['msg']}."
