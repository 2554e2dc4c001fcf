"""What no test of dbt can ask, since it would read models of two stages: members are customers, of a built home."""

from __future__ import annotations

import duckdb
import pytest

from ritorno.home import Home
from ritorno.publishing import FILE_FOR_BI
from tests.report.shop import real_home, shared_folder

STRANGERS = """
    select members.segment, members.customer_key
    from {mart} as members
    left join marts.customers on members.customer_key = customers.customer_key and not customers.is_tombstone
    where customers.customer_key is null
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return real_home(shared_folder(tmp_path_factory))


def test_every_member_of_every_segment_is_a_customer_who_is_not_deleted(home: Home) -> None:
    with duckdb.connect(str(home.published / FILE_FOR_BI), read_only=True) as con:
        for mart in ("segment_membership", "segment_exclusions"):
            assert con.execute(STRANGERS.format(mart=f"marts.{mart}")).fetchall() == []
        (members,) = con.execute("select count(*) from marts.segment_membership").fetchone() or (0,)
        assert members > 100
        # and the question can be answered with no: somebody who is nobody
        con.execute("create temp table stranger as select 'vip' as segment, 'nobody' as customer_key")
        assert con.execute(STRANGERS.format(mart="stranger")).fetchall() == [("vip", "nobody")]
