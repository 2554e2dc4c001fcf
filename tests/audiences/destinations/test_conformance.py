"""What every destination owes the engine, against the real thing. Each is seen without Ritorno's own code."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Iterator
from decimal import Decimal

import pytest

from ritorno.audiences.destinations.base import (
    Answer,
    Batch,
    Destination,
    Kind,
    Member,
    NotSent,
    RefusedBatch,
    SendError,
    Unanswered,
)
from ritorno.audiences.readback import comparable
from tests.audiences.destinations.cases import AUDIENCE, Case

KEY = iter(range(1_000_000))


def batch(kind: Kind, *members: Member, key: str = "") -> Batch:
    bare = kind in (Kind.REMOVE, Kind.ERASE)
    sent = tuple(Member(member.member_id) if bare else member for member in members)
    return Batch(AUDIENCE, key or f"batch-{next(KEY)}", kind, sent)


@pytest.fixture
def place(case: Case) -> Iterator[Destination]:
    made = case.make()
    yield made
    made.close()


def expected(case: Case, *members: Member) -> dict[str, dict[str, object]]:
    return {member.member_id: case.shown(dict(member.fields)) for member in members}


def test_it_is_a_destination_and_says_what_it_can_do(place: Destination) -> None:
    assert isinstance(place, Destination)
    assert place.max_batch >= 1
    assert place.modes <= {"mirror", "upsert", "append", "replace_file"}
    assert place.modes
    assert place.keys <= {"email", "phone", "customer_key"}
    assert place.keys


def test_who_is_added_is_there_with_the_declared_fields_and_nothing_else(case: Case, place: Destination) -> None:
    one, two = case.member(1), case.member(2)
    assert place.send(batch(Kind.ADD, one, two)) == Answer()
    assert case.seen() == expected(case, one, two)


def test_a_sender_may_have_an_event_loop_as_a_notebook_has(case: Case) -> None:
    one = case.member(1)

    async def sent() -> Answer:
        with contextlib.closing(case.make()) as place:
            return place.send(batch(Kind.ADD, one))

    assert asyncio.run(sent()) == Answer()
    assert case.seen() == expected(case, one)


def test_an_add_sent_twice_changes_nothing(case: Case, place: Destination) -> None:
    one, two = case.member(1), case.member(2)
    for key in ("same", "same", "another"):
        assert place.send(batch(Kind.ADD, one, two, key=key)) == Answer()
    assert case.seen() == expected(case, one, two)


def test_an_update_changes_that_person_only_and_may_be_repeated(case: Case, place: Destination) -> None:
    one, two = case.member(1), case.member(2)
    place.send(batch(Kind.ADD, one, two))
    changed = Member(one.member_id, case.fields(77))  # platforms that take no fields: the same once more
    for _ in range(2):
        assert place.send(batch(Kind.UPDATE, changed)) == Answer()
    assert case.seen() == expected(case, changed, two)


def test_an_update_of_somebody_who_isnt_there_adds_them(case: Case, place: Destination) -> None:
    assert place.send(batch(Kind.UPDATE, case.member(1))) == Answer()
    assert case.seen() == expected(case, case.member(1))


@pytest.mark.parametrize("kind", [Kind.REMOVE, Kind.ERASE])
def test_who_is_removed_or_erased_is_gone_and_it_may_be_repeated(case: Case, place: Destination, kind: Kind) -> None:
    one, two = case.member(1), case.member(2)
    place.send(batch(Kind.ADD, one, two))
    for _ in range(2):
        assert place.send(batch(kind, one)) == Answer()
    assert case.seen() == expected(case, two)


@pytest.mark.parametrize("kind", [Kind.REMOVE, Kind.ERASE])
def test_removing_somebody_who_was_never_there_succeeds(case: Case, place: Destination, kind: Kind) -> None:
    assert place.send(batch(kind, case.member(5))) == Answer()
    assert case.seen() == {}


def test_nothing_of_an_erased_person_is_left(case: Case, place: Destination) -> None:
    one, others = case.member(1), case.others()
    place.send(batch(Kind.ADD, one))
    for member in others:  # versions that hold the person
        place.send(batch(Kind.ADD, member))
    place.send(batch(Kind.REMOVE, one))
    place.send(batch(Kind.ERASE, one))
    assert case.erased(one.member_id)
    assert case.seen() == expected(case, *others)


def test_batches_apply_in_the_order_they_are_sent(case: Case, place: Destination) -> None:
    one = case.member(1)
    for kind in (Kind.ADD, Kind.REMOVE, Kind.ADD, Kind.ERASE, Kind.REMOVE, Kind.ADD):
        place.send(batch(kind, one))
    assert case.seen() == expected(case, one)


def test_a_full_batch_is_taken(case: Case, place: Destination) -> None:
    people = [case.member(number) for number in range(min(place.max_batch, case.full))]
    assert place.send(batch(Kind.ADD, *people)) == Answer()
    assert case.seen() == expected(case, *people)
    assert place.send(batch(Kind.REMOVE, *people)) == Answer()
    assert case.seen() == {}


def test_what_is_read_back_is_what_is_there(case: Case, place: Destination) -> None:
    people = [case.member(number) for number in range(11)]
    place.send(batch(Kind.ADD, *people))
    back = place.read_back(AUDIENCE)
    if not case.reads_back:
        assert back is None
        return
    assert back is not None
    found = {member.member_id: case.shown(dict(member.fields)) for member in back}
    assert case.seen() == expected(case, *people)
    assert found == case.seen() if case.back_has_fields else set(found) == set(case.seen())
    if not case.one_list:
        assert list(place.read_back("another_audience") or ()) == []


def test_the_values_read_back_are_those_that_were_sent_if_it_says_that_it_reads_fields(
    case: Case, place: Destination
) -> None:
    assert getattr(place, "reads_fields", False) is (case.reads_back and case.back_has_fields)
    if not getattr(place, "reads_fields", False):
        return
    one, two = case.member(1), Member(case.member_id(2), dict.fromkeys(case.fields(2)))
    place.send(batch(Kind.ADD, one, two))
    kinds = {int: "bigint", float: "double", bool: "boolean", Decimal: "decimal(18,2)"}
    types = {name: kinds.get(type(value), "varchar") for name, value in case.fields(1).items()}
    sent = {member.member_id: comparable(member.fields, types) for member in (one, two)}

    def shown() -> dict[str, str]:
        return {member.member_id: comparable(member.fields, types) for member in place.read_back(AUDIENCE) or ()}

    assert shown() == sent
    place.send(batch(Kind.UPDATE, Member(one.member_id, case.fields(77))))  # as an edit by somebody else
    assert {member_id for member_id, values in shown().items() if values != sent[member_id]} == {one.member_id}


def test_a_second_object_goes_on_where_the_first_ended(case: Case, place: Destination) -> None:
    place.send(batch(Kind.ADD, case.member(1)))
    place.close()
    other = case.make()
    other.send(batch(Kind.ADD, case.member(2)))
    other.close()
    assert case.seen() == expected(case, case.member(1), case.member(2))


def test_no_connection_is_not_sent(case: Case) -> None:
    sender = case.unreachable()
    with pytest.raises(NotSent):
        sender.send(batch(Kind.ADD, case.member(1)))
    sender.close()


def test_a_lost_answer_is_unanswered_though_applied_and_asserting_it_again_mends_it(connected_case: Case) -> None:
    case = connected_case
    assert case.losing is not None
    one, two = case.member(1), case.member(2)
    with case.losing() as sender:
        with pytest.raises(Unanswered):
            sender.send(batch(Kind.ADD, one, two, key="lost"))
        assert case.applied(), "the fault lost the batch, not its answer"
        assert sender.send(batch(Kind.ADD, one, two, key="lost")) == Answer()
    assert case.seen() == expected(case, one, two)


def test_a_batch_that_certainly_was_not_applied_is_not_sent_and_the_next_try_works(connected_case: Case) -> None:
    case = connected_case
    assert case.failing_before is not None
    with case.failing_before() as sender:
        with pytest.raises(NotSent):
            sender.send(batch(Kind.ADD, case.member(1)))
        assert case.seen() == {}
        assert sender.send(batch(Kind.ADD, case.member(1))) == Answer()
    assert case.seen() == expected(case, case.member(1))


def test_one_refused_member_keeps_nobody_else_out(refusing_case: Case) -> None:
    case = refusing_case
    assert case.refused is not None
    with case.refused() as (sender, bad):
        answer = sender.send(batch(Kind.ADD, case.member(1), bad, case.member(2)))
        sender.close()
    assert [refusal.member_id for refusal in answer.refused] == [bad.member_id]
    assert answer.refused[0].reason
    assert bad.member_id not in answer.refused[0].reason
    assert case.seen() == expected(case, case.member(1), case.member(2))


def test_no_address_and_no_value_stands_in_an_error_or_a_log(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    known = Member(case.member_id(1), case.fields(4711))
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        senders = [contextlib.nullcontext(case.unreachable()), case.losing, case.failing_before]
        for make in senders:
            if make is None:
                continue
            with make() if callable(make) else make as sender:
                for kind in (Kind.ADD, Kind.REMOVE):
                    try:
                        sender.send(batch(kind, known))
                    except SendError as error:
                        texts += traceback.format_exception(error)
                sender.close()
        if case.refused is not None:
            with case.refused() as (sender, bad):
                try:
                    texts += [refusal.reason for refusal in sender.send(batch(Kind.ADD, bad, known)).refused]
                except RefusedBatch as error:
                    texts += traceback.format_exception(error)
                sender.close()
                known_values = [bad.member_id]
        else:
            known_values = []
    # The console shows what logging captured, source lines of this test apart.
    everything = "\n".join([*texts, caplog.text])
    known_values += [known.member_id, *(str(value) for value in known.fields.values() if isinstance(value, str))]
    assert [value for value in known_values if value in everything] == []


def test_closing_twice_is_fine(case: Case) -> None:
    sender = case.make()
    sender.send(batch(Kind.ADD, case.member(1)))
    sender.close()
    sender.close()
