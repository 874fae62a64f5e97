"""The floor for requests: a Flask application that says hello, in JSON."""

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """What anybody's first page says."""
    return jsonify(hello="world")
