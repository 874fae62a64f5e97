"""A small mutation fuzzer, which mutates seeds at random and collects accepted inputs."""

import random
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.fuzz.targets import TARGETS, Target, shown

MAX_CORPUS, MAX_SIZE, MAX_MUTATIONS = 2_000, 4_096, 5


@dataclass(slots=True)
class Report:
    """The result for one target; ``failures`` has the first input by location of the exception."""

    executions: int = 0
    failures: dict[str, bytes] = field(default_factory=dict)


def fuzz(target: Target, seconds: float, seed: int = 0) -> Report:
    """Run the target on mutated inputs for this time."""
    chance = random.Random(seed)
    corpus, report = list(target.seeds), Report()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        data = mutated(chance.choice(corpus), corpus, target.fragments, chance)
        report.executions += 1
        try:
            target.parse(data)
        except target.errors:
            continue
        except Exception:  # noqa: BLE001 - unexpected exceptions are the result
            report.failures.setdefault(_place(), data)
            continue
        if len(corpus) < MAX_CORPUS:
            corpus.append(data)
    return report


def mutated(
    data: bytes, corpus: Sequence[bytes], fragments: Sequence[bytes], chance: random.Random
) -> bytes:
    """The data with a few mutations: bytes, cuts, repetitions, fragments, parts of other inputs."""
    for _ in range(chance.randint(1, MAX_MUTATIONS)):
        start, end = sorted(chance.choices(range(len(data) + 1), k=2))
        match chance.randrange(6):
            case 0:
                middle = chance.choice(fragments)
            case 1:
                middle = b""
            case 2:
                middle = chance.choice(fragments) + data[start:end]
            case 3:
                middle = bytes([chance.randrange(256)]) + data[start + 1 : end]
            case 4:
                middle = data[start:end] * chance.randint(2, 8)
            case _:
                middle = chance.choice(corpus)[start:end]
        data = (data[:start] + middle + data[end:])[:MAX_SIZE]
    return data


def run(seconds: float) -> int:
    """Fuzz all targets and print the results; returns the number of failures."""
    failed = 0
    for name, target in TARGETS.items():
        report = fuzz(target, seconds)
        failed += bool(report.failures)
        say(f"{name:22} | {report.executions:9} executions, {len(report.failures)} failures")
        for location, data in report.failures.items():
            say(f"{'':22} | {location}: {shown(data)}")
    return failed


def say(line: str) -> None:
    """Print one line immediately."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _place() -> str:
    return " < ".join(traceback.format_exc().splitlines()[-1:-4:-1])
