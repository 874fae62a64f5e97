"""How strict a DMARC record is, and whether another one keeps what it requests."""

from app.protocols.dmarc import Alignment, Policy, Record


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


def is_kept(old: Record, new: Record) -> bool:
    """Whether the new record weakens no policy or alignment and loses no report address."""
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
