"""The baseline for requests: a Flask application that returns a greeting as JSON."""

from flask import Flask, Response, jsonify

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """The greeting."""
    return jsonify(hello="world")
