"""Dagster's event log in SQLite, without a new connection and an fsync for every event.

A refresh stores some thousand events (each dbt test is an asset check), and Dagster's own storage opens, commits and
closes a database two or three times for each: 10 ms apiece, half of a small refresh. Here a connection is kept
per file, and a power cut may lose the log's last events; never more, since SQLite's write-ahead log stays consistent.
What matters about a run is in the state store.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, create_engine, event

BUSY_SECONDS = 30


def _relax(connection: Any, _: object) -> None:  # noqa: ANN401  SQLAlchemy's DB-API connection
    connection.execute("pragma synchronous = off")


class KeptOpenEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log with one kept engine per database file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._kept: dict[str, Engine] = {}
        super().__init__(*args, **kwargs)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptOpenEventLog":  # noqa: ANN401
        """As dagster.yaml says; Dagster's own would make a plain SqliteEventLogStorage."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._kept.get(shard)
            if engine is None:
                engine = create_engine(
                    self.conn_string_for_shard(shard),
                    connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
                )
                event.listen(engine, "connect", _relax)
                if shard not in self._initialized_dbs:
                    self._initdb(engine)
                    self._initialized_dbs.add(shard)
                self._kept[shard] = engine
            with engine.connect() as connection, connection.begin():
                yield connection

    def dispose(self) -> None:
        """Close what was kept open."""
        for engine in self._kept.values():
            engine.dispose()
        self._kept.clear()
        super().dispose()
