"""``python -m demo``: serve the samples on loopback until the parent ends, or SIGTERM or SIGINT.

The first line of stdout is a JSON object with the variables that make a scanner use these servers.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from demo.nameserver import NameServer
from demo.policies import NETWORKS, PolicyServer
from demo.samples import BEHAVIOR, DOMAINS, POLICIES, POLICY_FAULTS, ZONES

LOOK_AT_PARENT_SECONDS = 0.5


async def serve(bundle: Path) -> None:
    """Run both servers and print their variables; stop with the parent or on a signal."""
    parent, ending = os.getppid(), asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, ending.set)
    names, policies = NameServer(ZONES, BEHAVIOR), PolicyServer(POLICIES, POLICY_FAULTS)
    async with names, policies:
        policies.authority.write_bundle(bundle)
        sys.stdout.write(json.dumps(environment(names, policies, bundle)) + "\n")
        sys.stdout.flush()
        while not ending.is_set() and os.getppid() == parent:
            await _wait(ending)


def environment(names: NameServer, policies: PolicyServer, bundle: Path) -> dict[str, str]:
    """Return the variables that make a scanner use these servers only."""
    return {
        "DNS_NAMESERVERS": f"{names.address}:{names.port}",
        "EGRESS_PROXY": f"http://{policies.address}:{policies.port}",
        "SSL_CERT_FILE": str(bundle),
        "EGRESS_ALLOW_CIDRS": ",".join(map(str, NETWORKS)),
        "ALLOW_SPECIAL_USE_NAMES": "on",
        # This name server is slower than a resolver, and must not look unavailable.
        "DNS_QUERY_SECONDS": "8",
        "SCAN_CONCURRENCY": "3",
        "DEMO_DOMAINS": ",".join(DOMAINS),
    }


async def _wait(ending: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(ending.wait(), LOOK_AT_PARENT_SECONDS)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        asyncio.run(serve(Path(folder) / "ca.pem"))
