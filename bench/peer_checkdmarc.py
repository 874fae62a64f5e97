"""The time of checkdmarc for a range of domains; ``bench.scan`` runs it in its own environment.

python peer_checkdmarc.py <port> <threads> <first> <end>
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import checkdmarc
import dns.nameserver
import dns.resolver

SECONDS = 60.0  # with its default of 2, checkdmarc times out in threads


def run(port: int, threads: int, first: int, end: int) -> dict[str, float]:
    servers = [dns.nameserver.Do53Nameserver("127.0.0.1", port)]
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = servers
    resolver.use_edns(0, 0, 1232)
    resolver.timeout = resolver.lifetime = SECONDS

    def one(number: int) -> bool:
        result = checkdmarc.check_domains(
            [f"d{number}.example"], nameservers=servers, resolver=resolver, timeout=SECONDS
        )
        return bool(result["spf"]["valid"] and result["dmarc"]["valid"] and result["mx"]["hosts"])

    one(first)  # warm up
    wall, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        good = sum(map(one, range(first + 1, end + 1)))
    else:
        with ThreadPoolExecutor(threads) as pool:
            good = sum(pool.map(one, range(first + 1, end + 1)))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if good != end - first:
        sys.exit(f"checkdmarc found only {good} of {end - first} domains valid")
    return {"wall": wall, "cpu": cpu}


if __name__ == "__main__":
    print(json.dumps(run(*map(int, sys.argv[1:]))))
