"""All log lines of the web process are JSON."""

from pathlib import Path

import orjson

from tests.support.gunicorn import start, stop


def test_lines_of_gunicorn_are_json_with_a_traceback_inside(tmp_path: Path) -> None:
    gunicorn = start(tmp_path)
    assert gunicorn.get("/fail").status == 500
    stop(gunicorn)
    lines = [orjson.loads(line) for line in gunicorn.log.read_text().splitlines()]
    messages = [line["message"] for line in lines if line["logger"] == "gunicorn.error"]
    assert any(message.startswith("Starting gunicorn") for message in messages)
    assert any(message.startswith("Shutting down") for message in messages)
    assert [line for line in lines if "as the test asks" in line.get("traceback", "")]
    assert {line["level"] for line in lines} <= {"info", "warning", "error"}
