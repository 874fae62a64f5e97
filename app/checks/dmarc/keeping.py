"""Whether a fix keeps what the owner's DMARC record requests."""

from app.checks.dmarc import discovery
from app.checks.engine.types import Fix, Subject
from app.ports.network import NetworkSession
from app.protocols import dmarc
from app.protocols.dmarc import repair, strictness


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether no policy is weaker and no report address is lost once the fix is published.

    The records before are read as they were meant, also those that receivers ignore.
    """
    if fix.name != f"_dmarc.{subject.domain}" and not await _applies(subject, fix, before):
        return True  # the authorization of a report address
    present = await before.txt(fix.name)
    texts = [text for text in present if _is_meant(text)]
    if any("@" in text for text in present if text not in texts):
        return False  # a text that is not understood may name a report address
    old = [record for text in texts if (record := repair.lenient(text))]
    if not texts:
        tree = await discovery.walk(subject.domain, before)
        applying = await discovery.discover(tree, before)
        old = [applying.record] if applying.record else []
    new = dmarc.sole_record(await after.txt(fix.name))
    return new is not None and all(strictness.is_kept(record, new) for record in old)


async def _applies(subject: Subject, fix: Fix, before: NetworkSession) -> bool:
    """Whether the record of the fix applies to the domain, or would."""
    tree = await discovery.walk(subject.domain, before)
    return fix.name in {f"_dmarc.{name}" for name in tree.texts}


def _is_meant(text: str) -> bool:
    return dmarc.is_record(text) or dmarc.is_attempt(text) or "v=dmarc1" in text.lower()
