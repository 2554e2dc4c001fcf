"""Dagster's event log in SQLite, without a new connection and an fsync for every event.

A refresh stores some thousand events (each dbt test is an asset check), and Dagster's own storage opens, commits and
closes a database two or three times for each: 10 ms apiece, half of a small refresh. Here a connection is kept
per file, an event is one transaction in each of the two files it stands in, those that were planned are one together,
and a power cut may lose the log's last events; never more, since SQLite's write-ahead log stays consistent.
What matters about a run is in the state store.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from dagster import EventLogEntry
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, AssetKeyTable
from dagster._serdes import serialize_value
from sqlalchemy import Connection, Engine, create_engine, event

BUSY_SECONDS = 30


def _relax(connection: Any, _: object) -> None:  # noqa: ANN401  SQLAlchemy's DB-API connection
    connection.execute("pragma synchronous = off")


class KeptOpenEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log with one kept engine per database file."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        self._kept: dict[str, Engine] = {}
        self._tables: set[str] = set()
        self._columns: set[str] = set()
        self._open: dict[str, Connection] = {}
        super().__init__(*args, **kwargs)
        self._db_lock: Any = threading.RLock()  # one thread may be in both files at once

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KeptOpenEventLog":  # noqa: ANN401
        """As dagster.yaml says; Dagster's own would make a plain SqliteEventLogStorage."""
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            if shard in self._open:  # part of a transaction of this thread
                yield self._open[shard]
                return
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
                self._open[shard] = connection
                try:
                    yield connection
                finally:
                    del self._open[shard]

    def store_event(self, event: EventLogEntry) -> None:
        """Store an event in its run's file, and if it is about an asset in the index of all runs, in one go."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events, all of them or none."""
        with ExitStack() as transactions:
            for run_id in sorted({event.run_id for event in events}):
                transactions.enter_context(self.run_connection(run_id))
            if any(event.is_dagster_event for event in events):
                transactions.enter_context(self.index_connection())
            for one in events:
                super().store_event(one)

    # --- what Dagster's own does for each of some thousand events, once or in one statement

    def _has_asset_key_col_on_connection(self, conn: Connection, column_name: str) -> bool:
        """Whether the table of assets has a column: Dagster's own reads the whole schema for each event."""
        if column_name not in self._columns and super()._has_asset_key_col_on_connection(conn, column_name):
            self._columns.add(column_name)
        return column_name in self._columns

    def _store_asset_event(self, conn: Connection, event: EventLogEntry, event_id: int) -> None:
        """Note an asset's latest event: updated, since most are known. Dagster's own inserts, fails and updates."""
        key = event.dagster_event.asset_key if event.dagster_event else None
        if key is None:
            return
        values = self._get_asset_entry_values(event, event_id, self._has_asset_key_index_cols_on_connection(conn))
        if not values:
            return
        known = AssetKeyTable.update().values(**values).where(AssetKeyTable.c.asset_key == key.to_string())
        if conn.execute(known).rowcount == 0:
            super()._store_asset_event(conn, event, event_id)

    def _store_asset_check_evaluation_planned(self, event: EventLogEntry, event_id: int | None) -> None:
        """Note that a check is planned; Dagster's own writes a statement that SQLAlchemy compiles each time."""
        planned = event.dagster_event.event_specific_data if event.dagster_event else None
        if not isinstance(planned, AssetCheckEvaluationPlanned) or planned.partitions_subset:
            super()._store_asset_check_evaluation_planned(event, event_id)
            return
        row = {
            "asset_key": planned.asset_key.to_string(),
            "check_name": planned.check_name,
            "partition": None,
            "run_id": event.run_id,
            "execution_status": AssetCheckExecutionRecordStatus.PLANNED.value,
            "evaluation_event": serialize_value(event),
            "evaluation_event_timestamp": self._event_insert_timestamp(event),  # type: ignore[no-untyped-call]
            "evaluation_event_storage_id": event_id,
        }
        with self.index_connection() as conn:
            conn.execute(AssetCheckExecutionsTable.insert(), row)

    def has_table(self, table_name: str) -> bool:
        """Whether the database has a table: asked twice for each of some thousand events, each time anew by Dagster."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def dispose(self) -> None:
        """Close what was kept open."""
        for engine in self._kept.values():
            engine.dispose()
        self._kept.clear()
        super().dispose()
