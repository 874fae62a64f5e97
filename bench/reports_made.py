"""A year of reports of a thousand domains, generated in the database: raw rows and rollups.

The flows (an address with an identity) are generated here. Then each record is one random draw: a
domain, a day, a reporter and one of the domain's flows, large ones more often.
"""

import random
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import insert, text

from app import ids
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import WEEK, hour_of
from app.db.transactions import transaction
from app.models import Account, DmarcFlow, DmarcIdentity, Domain, DomainState, SenderHost
from app.services.analytics import dmarc
from app.services.analytics.dmarc import DmarcQuery
from devtools import ROOT

LARGEST, ORDINARY = "largest.test", "ordinary.test"
DOMAINS, DAYS = 1_000, 365
HOURS = (12, 12, 12, 5, 12, 19)  # by reporter: most report UTC days

# Shares of a year's records: 165,000 and 1,276 in 30 days of ten million.
SHARES = {LARGEST: 0.2007, ORDINARY: 0.00155}


@dataclass(frozen=True, slots=True)
class Plan:
    """One domain: its share of the records, and the sizes of its data."""

    id: UUID
    name: str
    records: int
    addresses: int
    identities: int
    reporters: int


def plans(records: int, domains: int = DOMAINS) -> list[Plan]:
    """All domains; the two measured ones come first."""
    names = [LARGEST, ORDINARY, *(f"d{number}.test" for number in range(domains - 2))]
    rest = 1 - SHARES[LARGEST] - 100 * SHARES[ORDINARY]
    made = []
    for number, name in enumerate(names):
        share = SHARES[LARGEST] if not number else SHARES[ORDINARY]
        share = share if number <= 100 else rest / (domains - 101)
        size = (3_000, 120, 15) if not number else (60, 12, 5)
        made.append(Plan(ids.new(), name, round(records * share), *size))
    return made


def identity(domain: str, number: int) -> Identity:
    """An identity of a domain: most are aligned."""
    author = domain if number % 5 else f"news{number % 4}.{domain}"
    service = ("amazonses.com", "sendgrid.net", f"relay{number}.example")[number % 3]
    is_good = number % 7 != 6
    return Identity(
        header_from=author,
        disposition="none" if is_good else ("none", "reject")[number % 2],
        dkim=is_good,
        spf=number % 2 == 0 and is_good,
        dkim_results=((domain, f"s{number}", "pass" if is_good else "fail"),),
        spf_results=((domain if number % 2 == 0 else service, "mfrom", "pass"),),
    )


def address(domain_number: int, number: int) -> str:
    """An address of a domain."""
    return f"10.{domain_number % 200}.{number // 250}.{number % 250}"


def _senders(made: list[Plan]) -> tuple[UUID, int]:
    """Insert account, domains, identities, flows and hosts; returns the number of flows."""
    account_id = ids.new()
    identities: list[dict[str, Any]] = []
    flows: list[dict[str, Any]] = []
    for domain_number, plan in enumerate(made):
        first = len(identities) + 1
        for number in range(plan.identities):
            entry = identity(plan.name, number)
            row = {"id": first + number, "domain_id": plan.id, "digest": entry.digest}
            identities.append({**row, **asdict(entry)})
        for number in range(plan.addresses * 3 // 2):
            ip = address(domain_number, number % plan.addresses)
            step = 0 if number < plan.addresses else 7
            which = first + (number * 31 + step) % plan.identities
            flows.append(
                {
                    "id": len(flows) + 1,
                    "domain_id": plan.id,
                    "source_ip": ip,
                    "identity_id": which,
                    "first_hour": 0,
                    "last_hour": 0,
                }
            )
    _insert(account_id, made, identities, flows)
    return account_id, len(flows)


def _insert(
    account_id: UUID,
    made: list[Plan],
    identities: list[dict[str, Any]],
    flows: list[dict[str, Any]],
) -> None:
    """Insert the account, its domains with the results of scans, and the flows with their hosts."""
    with transaction() as session:
        session.add(Account(id=account_id, name="bench"))
        session.flush()  # domains have a foreign key to it
        rows = [{"id": entry.id, "account_id": account_id, "name": entry.name} for entry in made]
        session.execute(insert(Domain), rows)
        session.execute(insert(DomainState), [_known(account_id, entry) for entry in made[:2]])
        for table, values in ((DmarcIdentity, identities), (DmarcFlow, flows)):
            session.execute(insert(table), values)
        addresses = {flow["source_ip"] for flow in flows}
        named = [
            {"address": ip, "status": "confirmed", "name": f"h.{ip}.isp.example"}
            for ip in addresses
        ]
        session.execute(insert(SenderHost), named)


def _known(account_id: UUID, plan: Plan) -> dict[str, Any]:
    """The results of a scan: an SPF record with 150 networks, and DMARC."""
    networks = " ".join(f"ip4:10.0.{i}.0/25" for i in range(150))
    texts = {plan.name: "v=spf1 include:_spf.test -all", "_spf.test": f"v=spf1 {networks} -all"}
    last_results = {
        "spf": {
            "facts": {"record": texts[plan.name]},
            "records": [{"name": n, "type": "TXT", "values": [t]} for n, t in texts.items()],
        },
        "dmarc": {
            "facts": {"record": "v=DMARC1; p=none", "record_at": plan.name, "org_domain": plan.name}
        },
    }
    return {"domain_id": plan.id, "account_id": account_id, "last_results": last_results}


def draws(made: list[Plan], seed: int = 1) -> Iterator[tuple[int, int, int, int, int]]:
    """(domain, flow within it, reporter, hour of the year, count) of every record."""
    rng = random.Random(seed)
    for number, plan in enumerate(made):
        flows = plan.addresses * 3 // 2
        for _ in range(plan.records):
            flow = int(flows * rng.random() ** 2.5)
            reporter = int(plan.reporters * rng.random() ** 2)
            hour = int(DAYS * rng.random()) * 24 + HOURS[reporter % len(HOURS)]
            yield number, flow, reporter, hour, 1 + int(50 * rng.random() ** 3)


def migrate(url: str) -> None:
    """Create the tables."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    command.upgrade(config, "head")


def in_sqlite(
    path: Path, records: int, end: datetime, domains: int = DOMAINS
) -> tuple[UUID, dict[str, UUID]]:
    """Fill a new SQLite database; returns the account, and its domains by name."""
    started = time.perf_counter()
    migrate(f"sqlite:///{path}")
    made = plans(records, domains)
    account_id, _ = _senders(made)
    start = hour_of(end) - DAYS * 24
    first, total = [], 0
    for plan in made:
        first.append(total)
        total += plan.addresses * 3 // 2
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous=OFF")
    connection.execute("CREATE TABLE bench_rows (domain, flow, reporter, hour, count)")
    connection.executemany(
        "INSERT INTO bench_rows VALUES (?, ?, ?, ?, ?)",
        (
            (made[number].id.hex, first[number] + flow + 1, reporter, start + hour, count)
            for number, flow, reporter, hour, count in draws(made)
        ),
    )
    for statement in _statements("sqlite", account_id):
        connection.execute(statement)
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()
    print(f"SQLite: {records:,} records generated in {time.perf_counter() - started:.0f} s")
    _check(account_id, made, end)
    return account_id, {plan.name: plan.id for plan in made}


def in_postgres(
    server_url: str, url: str, records: int, end: datetime, domains: int = DOMAINS
) -> tuple[UUID, dict[str, UUID]]:
    """Fill the PostgreSQL database; returns the account, and its domains by name."""
    started = time.perf_counter()
    migrate(url)
    made = plans(records, domains)
    account_id, _ = _senders(made)
    start = hour_of(end) - DAYS * 24
    hours = ", ".join(map(str, HOURS))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # no foreign key checks
        connection.execute(
            "CREATE UNLOGGED TABLE bench_rows"
            " (domain uuid, flow bigint, reporter int, hour int, count bigint)"
        )
        first = 0
        for plan in made:
            flows = plan.addresses * 3 // 2
            connection.execute(
                "INSERT INTO bench_rows"
                f" SELECT '{plan.id}', {first} + 1 + floor({flows} * random() ^ 2.5)::bigint,"
                f" reporter, {start} + floor({DAYS} * random())::int * 24"
                f" + (ARRAY[{hours}])[1 + reporter % {len(HOURS)}],"
                " 1 + floor(50 * random() ^ 3)::bigint FROM"
                f" (SELECT floor({plan.reporters} * random() ^ 2)::int AS reporter"
                f" FROM generate_series(1, {plan.records})) AS sample"
            )
            first += flows
        for statement in _statements("postgresql", account_id):
            connection.execute(statement)
        connection.execute("DROP TABLE bench_rows")
        for table in ("dmarc_identities", "dmarc_flows"):  # set the sequences of ids
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
            )
        connection.execute("VACUUM ANALYZE")
    print(f"PostgreSQL: {records:,} records generated in {time.perf_counter() - started:.0f} s")
    _check(account_id, made, end)
    return account_id, {plan.name: plan.id for plan in made}


REPORTER, WEEK_OF = "'r' || b.reporter || '.example'", f"hour / {WEEK} * {WEEK}"
JOINED = (
    "bench_rows b JOIN dmarc_flows f ON f.id = flow JOIN dmarc_identities i ON i.id = f.identity_id"
)


def _statements(kind: str, account_id: UUID) -> list[str]:
    """The statements for reports, records and rollups from ``bench_rows``."""
    # Rows are stored in order of time, as if reports were received day by day.
    arrived = [
        "CREATE TABLE bench_arrived AS SELECT * FROM bench_rows ORDER BY hour, domain, reporter",
        "DROP TABLE bench_rows",
        "ALTER TABLE bench_arrived RENAME TO bench_rows",
    ]
    statements = [*arrived, *_reports(kind == "sqlite", account_id), *_roll_ups()]
    if kind == "sqlite":
        return statements
    indexes = (
        ("ix_dmarc_records_domain_id_dmarc_records_at", "domain_id, at"),
        ("ix_dmarc_records_account_id_dmarc_records_source_ip", "account_id, source_ip"),
    )
    dropped = [f"DROP INDEX {name}" for name, _ in indexes]
    made = [f"CREATE INDEX {name} ON dmarc_records ({columns})" for name, columns in indexes]
    return [*dropped, *statements, *made]


def _reports(is_sqlite: bool, account_id: UUID) -> list[str]:
    """The statements for a report for each week of a reporter, with its records."""
    account = f"'{account_id.hex if is_sqlite else account_id}'"
    when = "to_timestamp({} * 3600)"
    if is_sqlite:
        when = "strftime('%Y-%m-%d %H:%M:%S.000000', {} * 3600, 'unixepoch')"
    new_id = "lower(hex(randomblob(16)))" if is_sqlite else "gen_random_uuid()"
    blob = "x''" if is_sqlite else "''::bytea"
    week = when.format(WEEK_OF)
    return [
        *_results(is_sqlite),
        "INSERT INTO dmarc_reports (id, account_id, domain_id, report_file_id, policy_domain,"
        " reporter, report_id, begin_at, end_at, days, org_name, email, policy, record_count,"
        " messages, passed,"
        " warnings, provenance, content_digest, received_at)"
        f" SELECT {new_id}, {account}, domain, {new_id}, CAST(domain AS VARCHAR), {REPORTER},"
        f" 'w' || (hour / {WEEK}), {week}, {week}, 1, 'x', 'x', '{{}}', 1, 1, 1, '[]', 'token',"
        f" {blob}, {week} FROM bench_rows b GROUP BY domain, b.reporter, hour / {WEEK}",
        "CREATE INDEX bench_reports ON dmarc_reports (domain_id, reporter, report_id)",
        "ANALYZE",
        "INSERT INTO dmarc_records (report_id, position, account_id, domain_id, at, source_ip,"
        " count, disposition, dkim, spf, header_from, dkim_results, spf_results)"
        f" SELECT r.id, row_number() OVER (), {account}, domain, {when.format('hour')},"
        " f.source_ip, count, i.disposition, i.dkim, i.spf, i.header_from, n.dkim_results,"
        f" n.spf_results FROM {JOINED} JOIN bench_results n ON n.id = i.id"
        " JOIN dmarc_reports r ON r.domain_id = domain"
        f" AND r.reporter = {REPORTER} AND r.report_id = 'w' || (hour / {WEEK})",
        "DROP TABLE bench_results",
    ]


def _results(is_sqlite: bool) -> list[str]:
    """The results of identities in the form of records: with the name of each value."""
    made = []
    for method, second in (("dkim", "selector"), ("spf", "scope")):
        cells = [("domain", 0), (second, 1), ("result", 2)]
        if is_sqlite:
            pairs = ", ".join(f"'{name}', json_extract(value, '$[{i}]')" for name, i in cells)
            expression = (
                f"json_group_array(json_object({pairs})) FROM json_each(i.{method}_results)"
            )
        else:
            pairs = ", ".join(f"'{name}', value ->> {i}" for name, i in cells)
            elements = f"json_array_elements(i.{method}_results)"
            expression = f"json_agg(json_build_object({pairs})) FROM {elements}"
        made.append(f"(SELECT {expression}) AS {method}_results")
    return [
        f"CREATE TABLE bench_results AS SELECT i.id, {', '.join(made)} FROM dmarc_identities i",
        "CREATE INDEX bench_results_id ON bench_results (id)",
    ]


def _roll_ups() -> list[str]:
    counts = (
        "SELECT domain, {span}, {start}, {key}, sum(count) FROM {source} GROUP BY 1, 2, 3, {last}"
        " ORDER BY 3, 1"
    )
    statements = [
        f"INSERT INTO dmarc_hours SELECT domain, hour, {REPORTER}, i.header_from, i.disposition,"
        f" i.dkim, i.spf, i.trusted, sum(count) FROM {JOINED} GROUP BY domain, hour, b.reporter,"
        " i.header_from, i.disposition, i.dkim, i.spf, i.trusted ORDER BY hour, domain",
        "UPDATE dmarc_flows SET first_hour = (SELECT coalesce(min(hour), 0) FROM bench_rows),"
        " last_hour = (SELECT coalesce(max(hour), 0) FROM bench_rows), is_new = false",
    ]
    for span, start in ((1, "hour"), (WEEK, WEEK_OF)):
        flow = counts.format(span=span, start=start, key="flow", source="bench_rows", last="4")
        key = f"{REPORTER}, i.id"
        reported = counts.format(span=span, start=start, key=key, source=JOINED, last="4, 5")
        statements.append(f"INSERT INTO dmarc_flow_counts {flow}")
        statements.append(f"INSERT INTO dmarc_reporter_counts {reported}")
    statements.append(
        "INSERT INTO dmarc_weeks (domain_id, start, is_compacted)"
        f" SELECT DISTINCT domain, {WEEK_OF}, true FROM bench_rows"
    )
    return statements


def _check(account_id: UUID, made: list[Plan], end: datetime) -> None:
    """Check that rollups and raw rows have the same sums."""
    for plan in made[:2]:
        start = datetime.fromtimestamp(end.timestamp() - 30 * 86_400, end.tzinfo)
        answer = dmarc.summarize(account_id, DmarcQuery(plan.name, start, end, group_by="source"))
        with transaction(readonly=True) as session:
            is_sqlite = session.get_bind().dialect.name == "sqlite"
            ends = [at.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else at for at in (start, end)]
            expected = session.execute(
                text(
                    "SELECT count(*), sum(count) FROM dmarc_records WHERE domain_id = :domain"
                    " AND at >= :start AND at < :stop"
                ),
                {
                    "domain": plan.id.hex if is_sqlite else plan.id,
                    "start": ends[0],
                    "stop": ends[1],
                },
            ).one()
        if (
            not answer.totals.messages
            == int(expected[1] or 0)
            == sum(group.messages for group in (*answer.groups, answer.other))
        ):
            raise AssertionError(f"{plan.name}: {answer.totals.messages} is not {expected[1]}")
        print(f"  {plan.name}: {expected[0]:,} records, {expected[1] or 0:,} messages in 30 days")
