"""What checkdmarc needs for some domains; run by ``bench.scan`` in checkdmarc's own environment.

python peer_checkdmarc.py <port> <threads> <first> <end>
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import checkdmarc
import dns.nameserver
import dns.resolver

SECONDS = 60.0  # checkdmarc's default of 2 would make it give up in threads


def run(port: int, threads: int, first: int, end: int) -> dict[str, float]:
    servers = [dns.nameserver.Do53Nameserver("127.0.0.1", port)]
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = servers
    resolver.use_edns(0, 0, 1232)
    resolver.timeout = resolver.lifetime = SECONDS

    def one(number: int) -> bool:
        found = checkdmarc.check_domains(
            [f"d{number}.example"], nameservers=servers, resolver=resolver, timeout=SECONDS
        )
        return bool(found["spf"]["valid"] and found["dmarc"]["valid"] and found["mx"]["hosts"])

    one(first)  # what is made once
    wall, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        good = sum(map(one, range(first + 1, end + 1)))
    else:
        with ThreadPoolExecutor(threads) as pool:
            good = sum(pool.map(one, range(first + 1, end + 1)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if good != end - first:
        sys.exit(f"checkdmarc was content with only {good} of {end - first} domains")
    return {"wall": wall, "cpu": cpu}


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:]))))
