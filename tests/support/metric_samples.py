"""The metrics of a scrape, as Prometheus reads them."""

from collections.abc import Mapping, Sequence

from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from app import settings as app_settings
from app.settings import Settings

TOKEN = "the-metrics-token"

Samples = Mapping[str, Sequence[Sample]]


def scrape(app: Flask, settings: Settings) -> Samples:
    """Return the samples of each name, with METRICS_TOKEN set."""
    app_settings.use(settings.replace(metrics_token=TOKEN))
    response = app.test_client().get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return parsed(response.text)


def parsed(text: str) -> Samples:
    """Return the samples of each name."""
    samples: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name.removeprefix("mailwatch_"), []).append(sample)
    return samples


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return the value of the sample with these labels."""
    values = [sample.value for sample in samples[name] if sample.labels == labels]
    assert len(values) == 1, (name, labels, [sample.labels for sample in samples[name]])
    return values[0]


def nonzero(samples: Samples, name: str, *labels: str) -> Mapping[tuple[str, ...], float]:
    """Return the values of the samples that are not 0, by the values of these labels."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for sample in samples.get(name, ())
        if sample.value
    }
