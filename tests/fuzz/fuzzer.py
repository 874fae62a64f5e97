"""A small mutation fuzzer: it changes the seeds at random and keeps what the parser takes."""

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
    """What came of one target; ``failures`` by where they were raised, with the first input."""

    executions: int = 0
    failures: dict[str, bytes] = field(default_factory=dict)


def fuzz(target: Target, seconds: float, seed: int = 0) -> Report:
    """Run the target on changed inputs for so long."""
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
        except Exception:  # noqa: BLE001 - that is what is looked for
            report.failures.setdefault(_place(), data)
            continue
        if len(corpus) < MAX_CORPUS:
            corpus.append(data)
    return report


def mutated(
    data: bytes, corpus: Sequence[bytes], fragments: Sequence[bytes], chance: random.Random
) -> bytes:
    """The data with a few changes: octets, cuts, repetitions, fragments, parts of other inputs."""
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
    """Fuzz every target, and print what came of it; returns how many failed."""
    failed = 0
    for name, target in TARGETS.items():
        report = fuzz(target, seconds)
        failed += bool(report.failures)
        say(f"{name:22} | {report.executions:9} executions, {len(report.failures)} failures")
        for place, data in report.failures.items():
            say(f"{'':22} | {place}: {shown(data)}")
    return failed


def say(line: str) -> None:
    """One line for whoever watches."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _place() -> str:
    return " < ".join(traceback.format_exc().splitlines()[-1:-4:-1])
