"""Who should be at the destination, from METRICS.md and issue 5 in plain Python. It shares no code with the engine."""

from __future__ import annotations

import hashlib
from datetime import datetime

from tests.audiences.shop import Shop


def member_id(value: str) -> str:
    """What the fake destination calls an address: the hash of what is trimmed and lower case."""
    return hashlib.sha256(value.strip().lower().encode()).hexdigest()


def may_be_sent(shop: Shop, address: str, channel: str = "email", purpose: str = "marketing") -> bool:
    """Whether the log lets this very address be written to, now."""
    owners = {shop.customer_of[account] for account in shop.accounts for one in shop.current(account)
              if one.value == address}  # fmt: skip
    verdicts: list[tuple[datetime, int, datetime]] = []
    for email, account, its_channel, its_purpose, given, at, expires in shop.events:
        if (its_channel, its_purpose) != (channel, purpose):
            continue
        if given:
            if at > shop.now:
                continue
            if email is not None:
                hits = email == address
            else:
                hits = any(
                    one.value == address and one.had_from <= at and (one.had_to is None or at < one.had_to)
                    for one in shop.accounts.get(account or "", [])
                )
            if hits:
                verdicts.append((at, 0, expires or datetime.max))
        else:
            touched = set()
            if account is not None:
                touched.add(shop.customer_of[account])
            if email is not None:
                touched |= {
                    shop.customer_of[a] for a in shop.accounts for one in shop.accounts[a] if one.value == email
                }
            if email == address or touched & owners:
                verdicts.append((at, 1, datetime.max))
    if not verdicts:
        return False
    latest = max(at for at, _, _ in verdicts)
    last = [(is_stop, expires) for at, is_stop, expires in verdicts if at == latest]
    return not any(is_stop for is_stop, _ in last) and min(expires for _, expires in last) > shop.now


def in_holdout(customer: str) -> bool:
    """By the salted hash: the first 3,000 of 10,000 buckets."""
    return int(hashlib.sha256(f"salt:{customer}".encode()).hexdigest()[:15], 16) % 10_000 < 3_000


def is_suppressed(shop: Shop, customer: str) -> bool:
    return any(
        one.value in shop.suppressed for account, key in shop.customer_of.items() if key == customer
        for one in shop.accounts[account]
    )  # fmt: skip


def wanted(shop: Shop, arms: dict[str, str] | None = None) -> dict[str, tuple[str, str]]:
    """member_id -> (customer, tier) of everybody who should be there; arms: the recorded arm by customer."""
    found: dict[str, tuple[str, str]] = {}
    members: dict[str, str] = {}
    for account, tier in sorted(shop.members.items()):
        members[shop.customer_of[account]] = tier
    erased = {shop.customer_of[account] for account in shop.erased}
    for customer in sorted(members):
        if customer in erased or customer in shop.deleted or is_suppressed(shop, customer):
            continue
        addresses = [
            (one, account)
            for account, key in shop.customer_of.items()
            if key == customer
            for one in shop.current(account)
            if may_be_sent(shop, one.value)
        ]
        if not addresses:
            continue
        seen = max(one.seen for one, _ in addresses)
        address, _ = min(((one, account) for one, account in addresses if one.seen == seen), key=lambda pair: pair[1])
        if arms is not None and arms.get(customer) == "holdout":
            continue
        found.setdefault(member_id(address.value), (customer, members[customer]))
    return found
