"""Names, tokens' words, buckets: what is decided about callers, without any of them."""

from __future__ import annotations

import string

import pytest

from orthofunctions.domain.keytext import digest_of, id_of, is_key, is_key_id, new_key
from orthofunctions.domain.principals import ALL_SCOPES, Scope, with_implied
from orthofunctions.domain.rates import take
from orthofunctions.domain.usernames import identifier_of, is_identifier
from orthofunctions.usecases import rates
from orthofunctions.usecases.rates import Rates

ISSUER = "https://issuer.example"


@pytest.mark.parametrize("name", ["ana", "5f3c1d2e-0000-4000-8000-000000000000", "110169484474386276334", "a" * 63])
def test_a_name_that_is_an_identifier_stays(name: str) -> None:
    assert identifier_of(ISSUER, name) == name


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("Ana", "ana-"),
        ("ana@site.example", "ana-site-example-"),
        ("ana\n", "ana-"),
        (" ana", "ana-"),
        ("Élise Brûlé", "elise-brule-"),
        ("auth0|5f3c", "auth0-5f3c-"),
        ("-ana", "ana-"),
        ("山田", "user-"),
        ("/\\#?%", "user-"),
        ("\ud800", "user-"),
        ("a" * 64, "a" * 40 + "-"),
        ("a" * 900, "a" * 40 + "-"),
        ("local", "local-"),
    ],
)
def test_other_names_become_readable_identifiers_of_their_own(name: str, begins: str) -> None:
    found = identifier_of(ISSUER, name)
    assert found.startswith(begins)
    assert is_identifier(found)
    assert found == identifier_of(ISSUER, name)
    assert found != identifier_of("https://elsewhere.example", name)


def test_names_never_meet() -> None:
    """Not even where somebody chooses a name that looks as if it was made here."""
    made = identifier_of(ISSUER, "Ana")
    assert identifier_of(ISSUER, made) not in (made, "ana")
    names = [f"{first}{second}{end}" for first in "aA" for second in string.printable for end in ("", "@x", "@X")]
    assert len({identifier_of(ISSUER, name) for name in [*names, made]}) == len(names) + 1


def test_scopes_bring_others_along() -> None:
    assert with_implied([]) == frozenset()
    assert with_implied([Scope.SUBMIT]) == {Scope.READ, Scope.SUBMIT}
    assert with_implied([Scope.ADMIN]) == ALL_SCOPES


def test_a_key_says_what_it_is_and_only_its_hash_is_kept() -> None:
    key = new_key()
    assert is_key(key)
    assert key.startswith("ob_")
    assert is_key_id(id_of(digest_of(key)))
    assert id_of(digest_of(key)) not in key
    for text in ("", "ob_", key[:-1], key + "A", key[:-1] + "=", "ob-" + key[3:], key + "\n"):
        assert not is_key(text)
    for text in ("", "g" * 12, "A" * 12, "a" * 11, "a" * 13, "a" * 12 + "\n"):
        assert not is_key_id(text)


def test_a_bucket_empties_by_calls_and_fills_by_time() -> None:
    taken = take(None, 60, 0.0)
    for left in range(58, -1, -1):
        taken = take(taken.bucket, 60, 0.0)
        assert (taken.allowed, taken.remaining, taken.full_in_s) == (True, left, 60 - left)
    refused = take(taken.bucket, 60, 0.5)
    assert (refused.allowed, refused.remaining, refused.next_in_s) == (False, 0, 1)
    assert take(refused.bucket, 60, 1.0).allowed, "what was refused took nothing"
    assert take(refused.bucket, 60, 10_000.0).remaining == 59
    assert take(refused.bucket, 60, -5.0).allowed is False, "a clock that goes back fills nothing"
    assert take(None, 1, 0.0).remaining == 0


def test_a_look_takes_nothing() -> None:
    assert take(None, 5, 0.0, 0).remaining == 5
    empty = take(None, 1, 0.0).bucket
    assert not take(empty, 1, 0.0, 0).allowed


def test_buckets_of_strangers_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "_MOST_KEPT", 3)
    kept = Rates()
    assert kept.take("ana", 1, 0.0).allowed
    assert not kept.take("ana", 1, 0.0).allowed
    for number in range(3):
        kept.take(f"stranger {number}", 1, 0.0)
    assert kept.take("ana", 1, 0.0).allowed
