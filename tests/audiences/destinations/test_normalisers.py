"""Golden vectors of each platform's normaliser: the examples of their documentation, and what shops really hold."""

from __future__ import annotations

import hashlib

import pytest

from ritorno.audiences.destinations import normalise


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


META = [
    ("email", "  Jane.Doe@Example.COM ", "jane.doe@example.com"),
    ("email", "mary@example.com", "mary@example.com"),
    # Meta wants dots and tags of Gmail addresses as they are.
    ("email", "Jane.Doe+shop@gmail.com", "jane.doe+shop@gmail.com"),
    ("email", "no address", None),
    ("email", "a@b@c.example", None),
    ("phone", "+1 (650) 555-1212", "16505551212"),
    ("phone", "0049 170 1234567", "491701234567"),
    # Without a country code it might be a stranger's.
    ("phone", "0170 1234567", None),
    ("phone", "+", None),
    ("customer_key", " c-4711 ", "c-4711"),
    ("customer_key", "  ", None),
]

GOOGLE = [
    # The examples of developers.google.com/data-manager/api/devguides/concepts/formatting
    ("email", "cloudy.sanfrancisco+shopping@gmail.com", "cloudysanfrancisco@gmail.com"),
    ("email", "user.name+NYC@Example.com", "user.name+nyc@example.com"),
    ("email", " J.A.N.E @GoogleMail.com ", "jane@googlemail.com"),
    ("email", "+shop@gmail.com", None),
    ("phone", "+1 (800) 555-0100", "+18005550100"),
    ("phone", "00441234567890", "+441234567890"),
    ("phone", "(800)555-0100", None),
]


@pytest.mark.parametrize(("key", "raw", "before_hash"), META)
def test_meta_hashes_what_its_documentation_says(key: str, raw: str, before_hash: str | None) -> None:
    assert normalise.meta(key, raw) == (sha(before_hash) if before_hash else None)


@pytest.mark.parametrize(("key", "raw", "before_hash"), GOOGLE)
def test_google_hashes_what_its_documentation_says(key: str, raw: str, before_hash: str | None) -> None:
    assert normalise.google(key, raw) == (sha(before_hash) if before_hash else None)


def test_published_digests_come_out() -> None:
    # Two digests written out, so that the test doesn't merely repeat the code's hashing.
    assert normalise.meta("email", " Test@Example.com") == (
        "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
    )
    assert normalise.google("email", "TEST@example.com ") == (
        "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
    )


@pytest.mark.parametrize(
    ("key", "raw", "kept"),
    [
        ("email", " Jürgen@Müller.example ", "jürgen@müller.example"),
        ("email", "a@b", None),
        ("email", "a b@c.example", None),
        ("email", "a@.example", None),
        ("email", "a@c..example", None),
        ("phone", " +49 (0) 170", None),
        ("phone", "+49-170/12 34.567", "+491701234567"),
        ("customer_key", " k1 ", "k1"),
    ],
)
def test_plain_destinations_get_one_spelling(key: str, raw: str, kept: str | None) -> None:
    assert normalise.plain(key, raw) == kept


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha224", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("spelling", [str.lower, str.upper, lambda text: f"  {text}\n"])
@pytest.mark.parametrize("normaliser", [normalise.plain, normalise.meta, normalise.google])
def test_an_already_hashed_address_is_refused_not_hashed_twice(algorithm: str, spelling, normaliser) -> None:
    digest = spelling(hashlib.new(algorithm, b"jane@example.com").hexdigest())
    assert normaliser("email", digest) is None
    assert normaliser("phone", digest) is None
