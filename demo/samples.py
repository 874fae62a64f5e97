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
        "silent.example": fault_injection.Trouble.TIMEOUT,
        ("halting.example", "TXT"): fault_injection.Trouble.SERVFAIL,
    },
)
POLICY_FAULTS = {
    "expired.test": policies.Trouble.EXPIRED,
    "wrongname.test": policies.Trouble.WRONG_NAME,
    "moved.test": policies.Trouble.REDIRECT,
    "nopolicy.test": policies.Trouble.MISSING,
    "huge.test": policies.Trouble.HUGE,
}
