"""Our report parser compared with parsedmarc: the same files alternately, in fresh processes.

    ./dev bench report_parsing [--rounds 3] [--files 100] [--records 100000] [--peer-records 10000]

A small report has 10 records. For the large report, parsedmarc gets fewer records to save time: its
rate is the same, but its peak memory is that of the smaller report. parsedmarc is measured with its
defaults, offline, and again without address lookups in its own tables, which a parser does not
need: the targets refer to the second measurement.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import peers, reports
from devtools import ROOT

SMALL = 10  # records
OURS, PEER, PEER_AS_IT_COMES = "ours", "parsedmarc, parsing only", "parsedmarc, defaults"
SMALL_TARGETS, LARGE_TARGETS, MAX_PEAK = (9, 12), (14, 17), 150

Rates = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Work:
    """The files to parse: their number and records, of which the peer may get fewer."""

    name: str
    files: int
    records: int
    peer_records: int
    warm: bool


def write(folder: Path, wrap: Callable[[bytes], bytes], files: int, records: int) -> None:
    """Write this number of reports into the folder."""
    folder.mkdir()
    for number in range(files):
        (folder / f"{number:06}").write_bytes(wrap(reports.xml(records, number)))


def run(command: Sequence[str]) -> Rates:
    """The result of one process."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    result: Rates = json.loads(done.stdout)
    return result


def ours(folder: Path, warm: bool) -> Rates:
    """The result of our parser."""
    return run([sys.executable, "-m", "bench.reading_ours", str(folder), str(int(warm))])


def parsedmarc(folder: Path, warm: bool, lookups: bool) -> Rates:
    """The result of parsedmarc."""
    script = str(ROOT / "bench" / "peer_parsedmarc.py")
    words = (script, str(folder), str(int(warm)), str(int(lookups)))
    return run([str(peers.PYTHON), *words])


def measure(work: Work, wrapping: str, rounds: int) -> dict[str, list[Rates]]:
    """The results of each parser for the same work in one format, by round."""
    samples: dict[str, list[Rates]] = {OURS: [], PEER: [], PEER_AS_IT_COMES: []}
    with tempfile.TemporaryDirectory() as directory:
        own, theirs = Path(directory, "ours"), Path(directory, "theirs")
        write(own, reports.WRAPPINGS[wrapping], work.files, work.records)
        write(theirs, reports.WRAPPINGS[wrapping], work.files, work.peer_records)
        for _ in range(rounds):
            samples[OURS].append(ours(own, work.warm))
            samples[PEER].append(parsedmarc(theirs, work.warm, lookups=False))
            samples[PEER_AS_IT_COMES].append(parsedmarc(theirs, work.warm, lookups=True))
    return samples


def reading(works: Sequence[tuple[Work, tuple[int, int]]], rounds: int) -> None:
    """Measure unwrapping and parsing, and print the results."""
    for work, targets in works:
        print(f"\n{work.name}; medians of {rounds} alternate rounds, by CPU time")
        for wrapping in reports.WRAPPINGS:
            samples = measure(work, wrapping, rounds)
            rates = {name: _printed(wrapping, name, of) for name, of in samples.items()}
            _print_ratio(rates, targets)
            if not work.warm:
                peak = max(sample["peak"] for sample in samples[OURS])
                verdict = "meets" if peak <= MAX_PEAK else "misses"
                print(f"         ours: {peak:.0f} MiB at most, which {verdict} {MAX_PEAK}")


def _printed(wrapping: str, name: str, samples: Sequence[Rates]) -> float:
    """Print the median rates; returns the records per second."""
    rate = statistics.median(sample["records"] / sample["cpu"] for sample in samples)
    files = statistics.median(sample["files"] / sample["cpu"] for sample in samples)
    wall = statistics.median(sample["records"] / sample["wall"] for sample in samples)
    peak = statistics.median(sample["peak"] for sample in samples)
    print(
        f"  {wrapping:4} {name:25} {files:9.1f} files/s {rate:10.0f} records/s"
        f" ({wall:.0f} wall) {peak:6.0f} MiB"
    )
    return rate


def _print_ratio(rates: Mapping[str, float], targets: tuple[int, int]) -> None:
    first, final = targets
    ratio = rates[OURS] / rates[PEER]
    print(
        f"         ours: {ratio:.1f} × the rate of {PEER} (target {first}, goal {final}),"
        f" {rates[OURS] / rates[PEER_AS_IT_COMES]:.1f} × its rate with defaults"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--files", type=int, default=100, help="small reports in each round")
    parser.add_argument("--records", type=int, default=100_000, help="records of the large report")
    parser.add_argument(
        "--peer-records",
        type=int,
        default=10_000,
        help="records of the large report for parsedmarc",
    )
    options = parser.parse_args()
    peers.prepare()
    small = Work(
        name=f"{SMALL} records", files=options.files, records=SMALL, peer_records=SMALL, warm=True
    )
    large = Work(
        f"{options.records} records (parsedmarc: {options.peer_records})",
        *(1, options.records, options.peer_records),
        warm=False,
    )
    reading(((small, SMALL_TARGETS), (large, LARGE_TARGETS)), options.rounds)


if __name__ == "__main__":
    main()
