"""No mart, segment or exposure shows a personal column, by its tags; no built home shows an address, by its values."""

from __future__ import annotations

from pathlib import Path

import yaml

from ritorno.contract import raw_tables
from ritorno.home import PROJECT_ROOT
from ritorno.privacy.tokens import FREE_TEXT, ID_COLUMNS, address_columns

HARMLESS = {"text", "comment"}
"""Names of free text in raw tables that mean something else elsewhere are found by their tags only."""


def _models() -> list[tuple[str, dict[str, object]]]:
    found = []
    for folder in ("marts", "segments"):
        for path in sorted((PROJECT_ROOT / "models" / folder).rglob("*.yml")):
            for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models") or ():
                found.append((f"{path.relative_to(PROJECT_ROOT)}: {model['name']}", model))
    return found


def personal_columns(model: dict[str, object], personal: frozenset[str]) -> list[str]:
    """Columns that are tagged `pii`, or called as a personal raw column is."""
    columns = model.get("columns") or ()
    assert isinstance(columns, list | tuple)
    return [
        column["name"]
        for column in columns
        if ((column.get("config") or {}).get("meta") or {}).get("pii") or column["name"] in personal
    ]


def _personal() -> frozenset[str]:
    tagged = {column.name for table in raw_tables() for column in table.columns if column.pii}
    return frozenset(tagged | {name for names in FREE_TEXT.values() for name in names}) - HARMLESS


def test_no_mart_and_no_segment_has_a_personal_column() -> None:
    models = _models()
    assert len(models) > 30
    assert {name: found for name, model in models if (found := personal_columns(model, _personal()))} == {}


def test_the_search_for_personal_columns_finds_a_tag_and_a_name() -> None:
    tagged = {"columns": [{"name": "note", "config": {"meta": {"pii": True}}}, {"name": "email"}, {"name": "orders"}]}
    assert personal_columns(tagged, _personal()) == ["note", "email"]


def test_erasure_knows_every_address_column_of_the_contract() -> None:
    for table in raw_tables():
        addresses = {*address_columns(table, "email"), *address_columns(table, "phone")}
        assert addresses <= {column.name for column in table.columns if column.pii}, table.name
        likely = {name for name in table.column_names if "email" in name or "phone" in name}
        assert likely == addresses, table.name


def test_erasure_knows_every_id_of_a_person_in_the_contract() -> None:
    things = {
        "order_id", "order_item_id", "product_id", "refund_id", "payment_id", "subscription_id", "event_id", "plan_id",
        "campaign_id", "ticket_id", "response_id", "review_id", "referral_id", "store_id",
    }  # fmt: skip
    for table in raw_tables():
        ids = {name for name in table.column_names if name.lower().endswith(("_id", " id"))}
        assert ids <= things | set(ID_COLUMNS), f"{table.name}: say in tokens.ID_COLUMNS whose numbers these are"


def test_docs_say_where_everything_personal_stands() -> None:
    text = (Path(PROJECT_ROOT) / "docs" / "privacy.md").read_text(encoding="utf-8")
    for place in ("raw.*", "landing.rejects", "pii.member", "pii.erasing", "publish.*", "logs/"):
        assert place in text
