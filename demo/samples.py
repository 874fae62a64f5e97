"""The sample domains of the demo, with their faults."""

from pathlib import Path

from demo import fault_injection, policies

ZONES = Path(__file__).parent / "zones"
POLICIES = Path(__file__).parent / "policies"

# app/services/domains/demo.py adds these; the other zones are referenced by them.
DOMAINS = (
    "perfect.example",
    "hosted.example",
    "monitoring.example",
    "sprawl.example",
    "twice.example",
    "dangling.example",
    "oldkeys.example",
    "mismatch.example",
    "asleep.example",
    "silent.example",
    "halting.example",
    "nosuch.example",
    "open.test",
    "bare.test",
    "bogus.test",
    "expired.test",
    "wrongname.test",
    "moved.test",
    "nopolicy.test",
    "huge.test",
)

BEHAVIOR = fault_injection.Behavior(
    signed=frozenset({".", "example", "test", "perfect.example"}),
    bogus=frozenset({"bogus.test"}),
    faults={
        "silent.example": fault_injection.Failure.TIMEOUT,
        ("halting.example", "TXT"): fault_injection.Failure.SERVFAIL,
    },
)
POLICY_FAULTS = {
    "expired.test": policies.Failure.EXPIRED,
    "wrongname.test": policies.Failure.WRONG_NAME,
    "moved.test": policies.Failure.REDIRECT,
    "nopolicy.test": policies.Failure.MISSING,
    "huge.test": policies.Failure.HUGE,
}
