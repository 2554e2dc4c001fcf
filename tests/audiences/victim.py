"""A process that sends an audience to a destination of its own until it is killed: `python -m tests.audiences.victim`.

The destination is a SQLite file, so what it took survives; the publish state is a real state file.
"""

from __future__ import annotations

import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import duckdb

from ritorno.audiences import inputs
from ritorno.audiences.delivery import Retries
from ritorno.audiences.destinations.base import Answer, Batch, Kind, Member
from ritorno.audiences.engine import Engine, Report
from ritorno.audiences.store import FileStore
from tests.audiences.fakes import Fake
from tests.audiences.shop import START, Address, Shop, audience, day, give


class Sqlite(Fake):
    """Members in a SQLite file; each one takes its time, so that a kill falls into the middle of a batch."""

    def open(self, path: Path, pause: float) -> Sqlite:
        self.file = sqlite3.connect(path, isolation_level=None)
        self.file.execute("create table if not exists members (member_id text primary key, tier text)")
        self.pause = pause
        return self

    def send(self, batch: Batch) -> Answer:
        for member in batch.members:
            if batch.kind in (Kind.ERASE, Kind.REMOVE):
                self.file.execute("delete from members where member_id = ?", [member.member_id])
            else:
                self.file.execute(
                    "insert or replace into members values (?, ?)", [member.member_id, str(member.fields["tier"])]
                )
            time.sleep(self.pause)
        return Answer()

    def read_back(self, audience: str) -> Iterator[Member] | None:
        return None

    def members(self) -> dict[str, str]:
        return dict(self.file.execute("select member_id, tier from members").fetchall())


def shop_on(number: int, people: int = 24) -> Shop:
    """The shop on a day: the same for everyone who asks. Some leave, some come, some change, some withdraw."""
    random, shop = Random(number), Shop(now=START + day(number))
    for person in range(people):
        account, address = f"k{person:02d}", f"k{person:02d}@example.org"
        shop.customer_of[account] = account
        shop.accounts[account] = [Address(address, START - day(9), None, START)]
        if random.random() < 0.7:
            shop.members[account] = random.choice("xyz")
        shop.events.append((address, None, "email", "marketing", True, START - day(9), None))
        if random.random() < 0.1:
            shop.events.append((address, None, "email", "marketing", False, shop.now, None))
    return shop


def send(folder: Path, number: int, pause: float = 0) -> Report:
    """Send the day's audience once."""
    fake = Sqlite(Random(0), max_batch=4).open(folder / "destination.sqlite", pause)
    shop = shop_on(number)
    with duckdb.connect(":memory:", config={"threads": 1}) as con:
        inputs.create(con)
        give(con, shop)
        return Engine(
            con=con,
            store=FileStore(folder / "state.duckdb"),
            audience=audience(),
            destination=fake,
            clock=lambda: shop.now,
            retries=Retries(attempts=1),
        ).send()


if __name__ == "__main__":
    print("ready", flush=True)
    for today in range(int(sys.argv[2]), 1_000):
        send(Path(sys.argv[1]), today, pause=0.004)
        print(today, flush=True)
