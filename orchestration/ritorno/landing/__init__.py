"""Landing: files into the schema raw, with a ledger and structural quarantine.

`land` reads new and changed files; `forget` takes a file's rows out; `export_quarantine` writes what could not be
used where a person can read it.
"""

from ritorno.landing.events import newest_event_dates, newest_order_date
from ritorno.landing.quarantine_files import export_quarantine
from ritorno.landing.run import FileOutcome, LandingReport, forget, land, raw_rows, rejected_rows
from ritorno.landing.sources import Discovery, RawFile, Source, discover, parse_source

__all__ = [
    "Discovery",
    "FileOutcome",
    "LandingReport",
    "RawFile",
    "Source",
    "discover",
    "export_quarantine",
    "forget",
    "land",
    "newest_event_dates",
    "newest_order_date",
    "parse_source",
    "raw_rows",
    "rejected_rows",
]
