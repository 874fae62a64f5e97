"""A planned resolver answers as DNS will once a draft is published."""

from collections.abc import Sequence
from typing import Any

import pytest

from app.checks.engine.draft_zones import Draft, Edit, EditedZone, ZoneDraft
from app.checks.engine.planned_resolver import PlannedResolver
from app.ports.dns import Answer, LookupFailed, Mx, ServerAnswer
from app.ports.http import Page
from app.protocols.zone_files import RecordChange, master_files
from tests.support.zones import NXDOMAIN, SERVFAIL, TIMEOUT, Zone

DOMAIN = "acme.test"
PUBLISHED: dict[Any, Any] = {
    (DOMAIN, "NS"): ["ns.host.test"],
    (DOMAIN, "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.1"],
    DOMAIN: ["v=spf1 -all", "other=1"],
    "_dmarc.acme.test": ["v=DMARC1; p=none"],
    ("k._domainkey.acme.test", "CNAME"): ["k.host.test"],
    "k.host.test": ["v=DKIM1; p=old"],
    "new.host.test": ["v=DKIM1; p=new"],
    ("back.host.test", "CNAME"): ["_dmarc.acme.test"],
    "sub.acme.test": ["below"],
    ("*.wild.acme.test", "TXT"): ["any"],
    ("*.wild.acme.test", "A"): ["192.0.2.9"],
    "down.acme.test": SERVFAIL,
}
WEB = {("mx.acme.test", "/"): Page("https://mx.acme.test/", status=200)}


def zone(text: str, published: dict[Any, Any] | None = None, **options: Any) -> PlannedResolver:
    draft = ZoneDraft(DOMAIN, master_files.parse(text, DOMAIN))
    return resolver(draft, published, **options)


def edited(text: str, published: dict[Any, Any] | None = None) -> PlannedResolver:
    return resolver(EditedZone(DOMAIN, edits(text)), published)


def edits(text: str) -> Sequence[Edit]:
    return [_edit(change) for change in master_files.parse_changes(text, DOMAIN)]


def _edit(change: RecordChange) -> Edit:
    records = (change.record,) if change.record else ()
    return Edit(action=change.action, name=change.name, type=change.type, records=records)


def resolver(
    draft: Draft, published: dict[Any, Any] | None = None, **options: Any
) -> PlannedResolver:
    return PlannedResolver(Zone(published or PUBLISHED, WEB, **options), draft)


async def ask(planned: PlannedResolver, name: str, rdtype: str = "TXT") -> tuple[str, list[str]]:
    answer = await planned.resolve(f"{name}.{DOMAIN}".removeprefix("."), rdtype)
    return answer.rcode, [str(rdata) for rdata in answer.rdatas]


async def test_zone_replaces_all_records_of_the_domain() -> None:
    planned = zone("@ TXT new\nmail.a A 192.0.2.5\n@ MX 5 mail.a\n")
    assert await ask(planned, "") == ("NOERROR", ["new"])
    assert await ask(planned, "", "MX") == ("NOERROR", ["5 mail.a.acme.test."])
    assert await ask(planned, "a") == ("NOERROR", [])  # an empty non-terminal exists
    assert await ask(planned, "_dmarc") == ("NXDOMAIN", [])
    answer = await planned.resolve("k.host.test", "TXT")
    assert answer.rdatas == ("v=DKIM1; p=old",)


async def test_zone_without_soa_and_ns_keeps_those_that_are_published() -> None:
    assert await ask(zone("@ TXT new"), "", "NS") == ("NOERROR", ["ns.host.test"])
    assert await ask(zone("@ NS ns2"), "", "NS") == ("NOERROR", ["ns2.acme.test"])


async def test_names_below_a_delegation_keep_their_records() -> None:
    planned = zone("@ TXT new\nsub NS ns.host.test.\n")
    assert await ask(planned, "sub") == ("NOERROR", ["below"])
    assert await ask(zone("@ TXT new"), "sub") == ("NXDOMAIN", [])


async def test_wildcard_of_a_zone_answers_for_names_that_do_not_exist() -> None:
    planned = zone("* TXT any\na A 192.0.2.1\n*.b CNAME a\n")
    assert await ask(planned, "x.y") == ("NOERROR", ["any"])
    assert await ask(planned, "a") == ("NOERROR", [])
    assert await ask(planned, "x.a") == ("NXDOMAIN", [])
    answer = await planned.resolve("x.b.acme.test", "A")
    assert (answer.aliases, answer.rdatas) == (("a.acme.test",), ("192.0.2.1",))


async def test_aliases_are_followed_out_of_the_draft_and_back() -> None:
    planned = zone("a CNAME new.host.test.\nb CNAME back.host.test.\n_dmarc TXT changed\n")
    answer = await planned.resolve("a.acme.test", "TXT")
    assert (answer.aliases, answer.rdatas) == (("new.host.test",), ("v=DKIM1; p=new",))
    answer = await planned.resolve("b.acme.test", "TXT")
    assert answer.aliases == ("back.host.test", "_dmarc.acme.test")
    assert answer.rdatas == ("changed",)
    answer = await planned.resolve("back.host.test", "TXT")
    assert (answer.aliases, answer.rdatas) == (("_dmarc.acme.test",), ("changed",))


async def test_loop_of_aliases_fails() -> None:
    with pytest.raises(LookupFailed, match="garbage"):
        await ask(zone("a CNAME b\nb CNAME a\n"), "a")


@pytest.mark.parametrize("failure", [SERVFAIL, TIMEOUT])
async def test_failed_lookup_stays_failed(failure: Any) -> None:
    published = {**PUBLISHED, "_dmarc.acme.test": failure}
    for planned in (
        zone("_dmarc TXT new", published),
        edited("_dmarc TXT new", published),
        edited("+ _dmarc TXT new", published),
    ):
        with pytest.raises(LookupFailed):
            await ask(planned, "_dmarc")


async def test_draft_that_replaces_a_broken_alias_is_answered() -> None:
    loop = {
        ("_dmarc.acme.test", "CNAME"): ["a.host.test"],
        ("a.host.test", "CNAME"): ["_dmarc.acme.test"],
    }
    assert await ask(zone("_dmarc TXT new", loop), "_dmarc") == ("NOERROR", ["new"])
    with pytest.raises(LookupFailed):
        await ask(zone("_dmarc CNAME a.host.test.", loop), "_dmarc")


async def test_unchanged_answer_is_the_published_one() -> None:
    planned = zone('@ 5 TXT other=1\n@ 5 TXT "v=spf1 -all"\n', authenticated=True)
    answer = await planned.resolve(DOMAIN, "TXT")
    assert (answer.ttl, answer.authenticated) == (300, True)
    assert answer.rdatas == ("v=spf1 -all", "other=1")


async def test_changed_answer_has_the_ttl_of_the_draft_and_is_signed_as_before() -> None:
    for is_signed in (True, False):
        planned = zone("@ 5 TXT new", authenticated=is_signed)
        answer = await planned.resolve(DOMAIN, "TXT")
        assert (answer.ttl, answer.authenticated) == (5, is_signed)


async def test_edits_change_single_record_sets() -> None:
    planned = edited('+ @ TXT third\n- @ TXT other=1\n_dmarc TXT "v=DMARC1; p=reject"\n- @ MX\n')
    assert await ask(planned, "") == ("NOERROR", ["v=spf1 -all", "third"])
    assert await ask(planned, "_dmarc") == ("NOERROR", ["v=DMARC1; p=reject"])
    assert await ask(planned, "", "MX") == ("NOERROR", [])
    assert await ask(planned, "mx", "A") == ("NOERROR", ["192.0.2.1"])
    assert await ask(planned, "", "NS") == ("NOERROR", ["ns.host.test"])


async def test_new_record_makes_the_names_above_it_exist() -> None:
    planned = edited("_smtp._tls TXT new")
    assert await ask(planned, "_tls") == ("NOERROR", [])
    assert await ask(planned, "_smtp._tls") == ("NOERROR", ["new"])
    assert await ask(planned, "_other") == ("NXDOMAIN", [])


async def test_edit_of_an_alias() -> None:
    moved = edited("k._domainkey CNAME new.host.test.")
    assert await ask(moved, "k._domainkey") == ("NOERROR", ["v=DKIM1; p=new"])
    gone = edited("- k._domainkey CNAME")
    assert await ask(gone, "k._domainkey") == ("NXDOMAIN", [])
    replaced = edited("- k._domainkey CNAME\n+ k._domainkey TXT key")
    assert await ask(replaced, "k._domainkey") == ("NOERROR", ["key"])
    assert await ask(replaced, "k._domainkey", "CNAME") == ("NOERROR", [])


async def test_record_next_to_an_alias_is_a_conflict_that_checks_see() -> None:
    planned = edited("+ k._domainkey TXT key")
    answer = await planned.resolve("k._domainkey.acme.test", "TXT")
    assert (answer.aliases, answer.rdatas) == ((), ("key",))
    assert await ask(planned, "k._domainkey", "CNAME") == ("NOERROR", ["k.host.test"])


async def test_new_record_takes_its_name_out_of_a_wildcard() -> None:
    planned = edited("+ a.wild TXT own")
    assert await ask(planned, "a.wild") == ("NOERROR", ["own"])
    assert await ask(planned, "a.wild", "A") == ("NOERROR", [])
    assert await ask(planned, "b.wild") == ("NOERROR", ["any"])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("- @ TXT other=1", 0),
        ("- @ TXT missing", 1),
        ("- none TXT", 1),
        ("- k._domainkey CNAME k.host.test.", 0),
        ("- k._domainkey TXT", 1),
        ("- down TXT x", 0),
        ("+ @ TXT x\n- @ MX 10 mx", 0),
    ],
)
async def test_removal_of_what_is_not_published_is_known(text: str, count: int) -> None:
    draft = EditedZone(DOMAIN, edits(text))
    assert len(await draft.unmatched(Zone(PUBLISHED))) == count


async def test_page_of_a_moved_host_is_not_known() -> None:
    same = zone("mx 300 A 192.0.2.1")
    assert (await same.fetch("mx.acme.test", "/")).status == 200
    assert not await same.is_moved("mx.acme.test")
    moved = zone("mx A 192.0.2.2")
    assert await moved.is_moved("mx.acme.test")
    with pytest.raises(LookupFailed, match="unpublished"):
        await moved.fetch("mx.acme.test", "/")
    assert (await zone("@ TXT x").fetch("mx.acme.test", "/")).failure == "no_address"


async def test_servers_are_queried_unless_the_draft_moves_them() -> None:
    published = {**PUBLISHED, ("ns.acme.test", "A"): ["192.0.2.3"]}
    answer = ServerAnswer("ns.acme.test", "NOERROR", True)
    servers = {("ns.acme.test", "SOA"): answer}
    same = zone("ns A 192.0.2.3", published, servers=servers)
    assert await same.query_server("ns.acme.test", DOMAIN, "SOA") == answer
    moved = zone("ns A 192.0.2.4", published, servers=servers)
    with pytest.raises(LookupFailed, match="unpublished"):
        await moved.query_server("ns.acme.test", DOMAIN, "SOA")


async def test_queries_with_checking_disabled_are_answered_as_published() -> None:
    answer = await zone("@ TXT new").resolve(DOMAIN, "TXT", checking_disabled=True)
    assert isinstance(answer, Answer)
    assert answer.rdatas == ("v=spf1 -all", "other=1")


async def test_name_that_parent_denies_is_answered_from_the_draft() -> None:
    published = {**PUBLISHED, "gone.acme.test": NXDOMAIN}
    assert await ask(zone("gone MX 0 .", published), "gone", "MX") == ("NOERROR", [str(Mx(0, ""))])
