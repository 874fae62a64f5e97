"""Whether a fix keeps what the owner's DMARC record asks for."""

from app.checks.dmarc import discovery
from app.checks.engine.types import Fix, Subject
from app.ports.network import NetworkSession
from app.protocols import dmarc
from app.protocols.dmarc import Alignment, Policy, Record, repair


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether no policy is weaker and no report address is lost once the fix is published.

    The records before are read as they were meant, also those that receivers ignore.
    """
    if fix.name != f"_dmarc.{subject.domain}" and not await _applies(subject, fix, before):
        return True  # the authorization of a report address
    texts = [text for text in await before.txt(fix.name) if _is_meant(text)]
    old = [record for text in texts if (record := repair.lenient(text))]
    if not texts:
        tree = await discovery.walk(subject.domain, before)
        applying = await discovery.discover(tree, before)
        old = [applying.record] if applying.record else []
    new = dmarc.sole_record(await after.txt(fix.name))
    return new is not None and all(_is_kept(record, new) for record in old)


async def _applies(subject: Subject, fix: Fix, before: NetworkSession) -> bool:
    """Whether the record of the fix applies to the domain, or would."""
    tree = await discovery.walk(subject.domain, before)
    return fix.name in {f"_dmarc.{name}" for name in tree.texts}


def _is_meant(text: str) -> bool:
    return dmarc.is_record(text) or dmarc.is_attempt(text) or "v=dmarc1" in text.lower()


def _is_kept(old: Record, new: Record) -> bool:
    return (
        _is_as_strict(policies(old), policies(new))
        and _is_as_strict(policies(old, has_test_mode=False), policies(new, has_test_mode=False))
        and set(old.rua) <= set(new.rua)
        and set(old.ruf) <= set(new.ruf)
        and old.adkim in (Alignment.RELAXED, new.adkim)
        and old.aspf in (Alignment.RELAXED, new.aspf)
    )


def _is_as_strict(old: tuple[int, int, int], new: tuple[int, int, int]) -> bool:
    return all(is_strong >= was_strong for was_strong, is_strong in zip(old, new, strict=True))


def policies(record: Record, *, has_test_mode: bool = True) -> tuple[int, int, int]:
    """The strength of the policies for the domain, its subdomains, and names without records.

    has_test_mode  whether ``t=y`` counts; otherwise the policies are as published
    """
    own = record.p or Policy.NONE
    sub = record.sp or own
    is_lowered = record.testing and has_test_mode
    domain, subdomains, missing = (
        (policy.lowered if is_lowered else policy).strength
        for policy in (own, sub, record.np or sub)
    )
    return domain, subdomains, missing
