"""Files, S3 and SFTP are seen whole or not at all: while they are replaced, after a kill, with two writers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ritorno.audiences.destinations.base import Batch, FileDestination, Kind, Member, NotSent, Unanswered
from tests.audiences.destinations.cases import (
    AUDIENCE,
    CASES,
    Case,
    Gone,
    content,
    documented_python,
    made,
    rows_of_files,
)

FILE_SETS = ["files as csv", "files as jsonl", "files as parquet", "s3", "sftp"]


@pytest.fixture(params=FILE_SETS)
def file_case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param](request)


def generation(number: int, size: int = 11) -> list[Member]:
    return [Member(f"p{place}@shop.example", {"generation": number}) for place in range(size)]


def generations(seen: dict[str, dict[str, Any]]) -> set[str]:
    return {str(fields["generation"]) for fields in seen.values()}


def replacing(case: Case) -> FileDestination:
    made_ = case.make()
    assert isinstance(made_, FileDestination)
    assert "replace_file" in made_.modes
    return made_


def test_a_replace_shows_exactly_the_new_members(file_case: Case) -> None:
    sender = replacing(file_case)
    assert sender.replace(AUDIENCE, "run-1", generation(1)) == 11
    assert sender.replace(AUDIENCE, "run-2", generation(2, size=3)) == 3
    assert sender.replace(AUDIENCE, "run-2", generation(2, size=3)) == 3
    seen = file_case.seen()
    assert len(seen) == 3
    assert generations(seen) == {"2"}
    back = list(sender.read_back(AUDIENCE) or ())
    assert sorted(back, key=lambda member: member.member_id) == generation(2, size=3)
    sender.close()


def test_a_reader_sees_one_version_while_others_are_written(file_case: Case) -> None:
    sender = replacing(file_case)
    sender.replace(AUDIENCE, "run-0", generation(0))
    found: list[set[str]] = []
    sizes: set[int] = set()
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            try:
                seen = file_case.seen()
            except Gone:
                continue
            except BaseException as error:
                failures.append(error)
                return
            found.append(generations(seen))
            sizes.add(len(seen))

    reader = threading.Thread(target=read)
    reader.start()
    number = 0
    while number < 8 or (len(found) < 4 and not failures and number < 500):  # some are quicker written than read
        number += 1
        sender.replace(AUDIENCE, f"run-{number}", generation(number))
    stop.set()
    reader.join()
    sender.close()
    assert failures == []
    assert {len(one) for one in found} == {1}, "a reader saw parts of two versions"
    assert sizes == {11}
    assert len(found) > 3


def test_a_replace_that_fails_leaves_the_old_version(file_case: Case) -> None:
    sender = replacing(file_case)
    sender.replace(AUDIENCE, "run-1", generation(1))

    def breaking() -> Iterator[Member]:
        yield from generation(2)
        raise RuntimeError("the warehouse went away")

    with pytest.raises(RuntimeError):
        sender.replace(AUDIENCE, "run-2", breaking())
    assert generations(file_case.seen()) == {"1"}
    odd = [*generation(3), Member("odd@shop.example", {"generation": "three"})]
    with pytest.raises(NotSent, match="field generation is a text where the column holds integer"):
        sender.replace(AUDIENCE, "run-3", odd)
    assert generations(file_case.seen()) == {"1"}
    assert sender.replace(AUDIENCE, "run-4", generation(4)) == 11
    assert generations(file_case.seen()) == {"4"}
    sender.close()


def test_the_lost_answer_of_a_replace_is_unanswered_and_a_failure_before_is_not_sent(file_case: Case) -> None:
    if file_case.losing is None or file_case.failing_before is None:
        # A folder that can't be made; a kill is the other way to lose an answer here, and has its own test.
        sender = file_case.unreachable()
        with pytest.raises(NotSent):
            sender.replace(AUDIENCE, "run-1", generation(1))  # type: ignore[attr-defined]
        return
    with file_case.failing_before() as sender, pytest.raises(NotSent):
        sender.replace(AUDIENCE, "run-1", generation(1))  # type: ignore[attr-defined]
    assert file_case.seen() == {}
    with file_case.losing() as sender, pytest.raises(Unanswered):
        sender.replace(AUDIENCE, "run-2", generation(2))  # type: ignore[attr-defined]
    assert generations(file_case.seen()) == {"2"}


def test_a_second_writer_is_refused_not_overwritten(file_case: Case) -> None:
    slow, quick = replacing(file_case), replacing(file_case)
    slow.replace(AUDIENCE, "run-0", generation(0))

    def interrupted() -> Iterator[Member]:
        yield from generation(1)
        quick.replace(AUDIENCE, "run-2", generation(2))

    with pytest.raises(NotSent, match="changed by another writer"):
        slow.replace(AUDIENCE, "run-1", interrupted())
    assert generations(file_case.seen()) == {"2"}
    slow.close()
    quick.close()


def test_a_small_batch_carries_full_parts_over_and_writes_the_touched_ones(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "jsonl", "part_rows": 100})
    assert isinstance(sender, FileDestination)
    sender.replace(AUDIENCE, "run-1", generation(1, size=1_000))
    before = parts(tmp_path)
    sender.send(Batch(AUDIENCE, "k", Kind.UPDATE, (Member("p250@shop.example", {"generation": 2}),)))
    after = parts(tmp_path)
    assert len(set(before) & set(after)) == 9
    assert sum(after.values()) == 1_000
    # And nothing at all where nothing changes.
    pointer = (tmp_path / AUDIENCE / "current.json").read_bytes()
    sender.send(Batch(AUDIENCE, "k", Kind.UPDATE, (Member("p250@shop.example", {"generation": 2}),)))
    assert (tmp_path / AUDIENCE / "current.json").read_bytes() == pointer


def test_many_small_batches_do_not_leave_many_small_parts(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "jsonl", "part_rows": 20})
    for number in range(40):
        sender.send(Batch(AUDIENCE, f"k{number}", Kind.ADD, (Member(f"p{number}@shop.example"),)))
    found = parts(tmp_path)
    assert sum(found.values()) == 40
    assert len(found) <= 8
    # Earlier versions are kept for readers in mid-read, but three of them only.
    assert len(list((tmp_path / AUDIENCE / "manifests").iterdir())) == 3


def test_a_field_that_was_null_so_far_takes_its_type_later(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "parquet", "part_rows": 3})
    sender.send(Batch(AUDIENCE, "a", Kind.ADD, tuple(Member(f"p{n}", {"score": None}) for n in range(5))))
    sender.send(Batch(AUDIENCE, "b", Kind.ADD, (Member("p9", {"score": 7, "note": "new"}),)))
    back = {member.member_id: dict(member.fields) for member in sender.read_back(AUDIENCE) or ()}
    assert back["p9"] == {"score": 7, "note": "new"}
    assert back["p0"] == {"score": None, "note": None}
    answer = sender.send(Batch(AUDIENCE, "c", Kind.ADD, (Member("p10", {"score": "seven"}),)))
    assert [refusal.reason for refusal in answer.refused] == ["field score is a text where the column holds integer"]


def test_a_part_that_somebody_changed_is_noticed_and_nothing_is_built_on_it(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "jsonl"})
    sender.send(Batch(AUDIENCE, "a", Kind.ADD, (Member("p1"),)))
    (part,) = (tmp_path / AUDIENCE / "parts").iterdir()
    part.write_bytes(part.read_bytes() + b'{"member_id":"intruder"}\n')
    with pytest.raises(NotSent, match="isn't what the manifest says"):
        list(sender.read_back(AUDIENCE) or ())
    with pytest.raises(NotSent, match="isn't what the manifest says"):
        sender.send(Batch(AUDIENCE, "b", Kind.ADD, (Member("p2"),)))


def test_columns_that_contradict_what_is_kept_and_a_field_of_the_keys_name_are_not_sent(tmp_path: Path) -> None:
    one = Batch(AUDIENCE, "a", Kind.ADD, (Member("p1", {"score": 7}),))
    made("files", {"path": str(tmp_path), "format": "jsonl"}).send(one)
    other = made("files", {"path": str(tmp_path), "format": "jsonl", "columns": {"score": "text"}})
    with pytest.raises(NotSent, match="keeps score as integer, columns says text"):
        other.send(one)
    with pytest.raises(NotSent, match="has a field member_id"):
        made("files", {"path": str(tmp_path), "format": "jsonl"}).send(
            Batch(AUDIENCE, "b", Kind.ADD, (Member("p2", {"member_id": "x"}),))
        )
    with pytest.raises(NotSent, match="is kept as jsonl, not csv"):
        made("files", {"path": str(tmp_path), "format": "csv"}).send(one)


def test_strangers_on_the_machine_cannot_read_the_files(tmp_path: Path) -> None:
    made("files", {"path": str(tmp_path), "format": "csv"}).send(Batch(AUDIENCE, "a", Kind.ADD, (Member("p1"),)))
    shown = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(shown) == 3
    assert [path for path in shown if path.stat().st_mode & 0o007] == []


def test_an_audience_whose_name_would_leave_the_folder_is_not_written(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path / "drop"), "format": "jsonl"})
    with pytest.raises(NotSent, match="becomes a folder"):
        sender.send(Batch("../elsewhere", "a", Kind.ADD, (Member("p1"),)))
    assert list(tmp_path.iterdir()) == []


def test_the_reader_of_the_documentation_reads_what_is_there(tmp_path: Path) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "parquet", "part_rows": 4})
    sender.send(Batch(AUDIENCE, "a", Kind.ADD, tuple(generation(1))))
    names: dict[str, Any] = {}
    exec(documented_python("manifest =").replace("/srv/drop/at_risk", str(tmp_path / AUDIENCE)), names)
    assert sorted(names["members"]["member_id"].to_pylist()) == sorted(one.member_id for one in generation(1))


def parts(folder: Path) -> dict[str, int]:
    pointer = json.loads((folder / AUDIENCE / "current.json").read_bytes())
    manifest = json.loads((folder / AUDIENCE / pointer["manifest"]).read_bytes())
    return {part["file"]: part["rows"] for part in manifest["parts"]}


SENDER = """
import sys
from ritorno.audiences.destinations.base import Member
from ritorno.audiences.destinations.registry import destination
sender = destination("files").from_settings({"path": sys.argv[1], "format": "jsonl", "part_rows": 40}, {})
for number in range(int(sys.argv[2]), 1_000_000):
    people = (Member(f"p{place}@shop.example", {"generation": number}) for place in range(400))
    sender.replace("at_risk", f"run-{number}", people)
    print(number, flush=True)
"""


def test_a_sender_killed_in_the_middle_of_a_replace_leaves_one_whole_version(tmp_path: Path) -> None:
    def read(name: str) -> bytes | None:
        return content(tmp_path / name)

    killed_in_the_middle = 0
    attempt = 0
    while killed_in_the_middle < 2 and attempt < 12:
        attempt += 1
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen(
            [sys.executable, "-c", SENDER, str(tmp_path), str(attempt * 10_000)],
            stdout=subprocess.PIPE,
            env=environment,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05 + 0.013 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        seen = rows_of_files(read, tmp_path)
        assert len(seen) == 400
        assert len(generations(seen)) == 1
        shown = parts(tmp_path)
        newest = max(path.name for path in (tmp_path / AUDIENCE / "parts").iterdir() if not path.name.startswith("."))
        killed_in_the_middle += f"parts/{newest}" not in shown
    assert killed_in_the_middle, "no kill met a replace in its middle: the test proves nothing"
    # The next run takes over, and what the killed ones left goes.
    sender = made("files", {"path": str(tmp_path), "format": "jsonl", "part_rows": 40, "keep_versions": 1})
    assert isinstance(sender, FileDestination)
    sender.replace(AUDIENCE, "run-after", generation(7))
    assert generations(rows_of_files(read, tmp_path)) == {"7"}
    left = {path.relative_to(tmp_path / AUDIENCE).as_posix() for path in (tmp_path / AUDIENCE).rglob("*.json*")}
    manifests = {name for name in left if name.startswith("manifests/")}
    assert len(manifests) == 1
    assert left - manifests == {"current.json", *parts(tmp_path)}


def test_a_full_disk_is_not_sent_and_the_old_version_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = made("files", {"path": str(tmp_path), "format": "jsonl"})
    assert isinstance(sender, FileDestination)
    sender.replace(AUDIENCE, "run-1", generation(1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(NotSent, match="No space left on device"):
            sender.replace(AUDIENCE, "run-2", generation(2))
    back = [member.fields["generation"] for member in sender.read_back(AUDIENCE) or ()]
    assert set(back) == {1}
    with contextlib.suppress(NotSent):
        sender.close()
