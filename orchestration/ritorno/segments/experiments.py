"""Which arm of an experiment a customer falls into: a salted hash, the same in Python and in SQL.

A customer's bucket is the SHA-256 of `salt:customer_key`, its first 15 hexadecimal digits (60 bits) as a number, modulo
10,000. Arms take ranges of buckets in the order they are written, the rounding error going to the last one.

What stays when a share changes: the bucket never moves, since it knows nothing of shares; and an arm that was recorded
stays recorded (the audience engine records it at first eligibility), so a changed share decides only about people who
come later. `arm` alone is no assignment: with 50/50 turned into 40/60 the buckets 4,000 to 4,999 would now fall into
the other arm, and only the recorded assignment keeps those who are already in. To add an arm without moving the ranges
of the others, write it last and take its share from the one before it. Another salt is another experiment: buckets of
two salts are independent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from decimal import Decimal

BUCKETS = 10_000
_DIGITS = 15
"""60 bits fit a signed 64-bit integer, which is what SQL reads the digits into."""


def bucket(salt: str, key: str) -> int:
    """The bucket 0 to 9,999 of a customer key under an experiment's salt."""
    digest = hashlib.sha256(f"{salt}:{key}".encode()).hexdigest()
    return int(digest[:_DIGITS], 16) % BUCKETS


def ranges(shares: Mapping[str, float]) -> dict[str, range]:
    """The buckets of each arm, in the order the arms are written; together they are all buckets, once each."""
    upper = Decimal(0)
    found: dict[str, range] = {}
    begin = 0
    for number, (name, share) in enumerate(shares.items(), start=1):
        upper += Decimal(str(share)) * BUCKETS
        end = BUCKETS if number == len(shares) else int(upper.to_integral_value())
        found[name] = range(begin, end)
        begin = end
    return found


def arm(number: int, shares: Mapping[str, float]) -> str:
    """The arm that a bucket falls into.

    Args:
        number: 0 to 9,999.
        shares: share by arm; they add up to 1 (validated where the segment's meta is read).
    """
    for name, buckets in ranges(shares).items():
        if number in buckets:
            return name
    raise ValueError(f"bucket {number} is not one of 0 to {BUCKETS - 1}, or the shares {dict(shares)} leave it out")


def bucket_sql(salt: str, key: str) -> str:
    """The same bucket as an expression of DuckDB's SQL; `salt` and `key` are SQL expressions."""
    return f"cast(cast('0x' || substr(sha256({salt} || ':' || {key}), 1, {_DIGITS}) as bigint) % {BUCKETS} as integer)"
