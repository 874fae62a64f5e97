"""The page of objects has the fields of the schemas."""

from flask import Flask

from devtools import api_objects


def test_the_page_of_objects_is_generated_from_the_schemas(app: Flask) -> None:
    hint = "run `python -m devtools.api_objects`"
    assert api_objects.PAGE.read_text() == api_objects.text(app), hint
