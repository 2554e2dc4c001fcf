"""The suites of the campaigns' tables: green on a sound delivery, each check red with its fault."""

import shutil

from ritorno.quality.expectations import FOLDER
from tests.quality.support import check, home_with

MART = """
    create or replace table marts.campaign_results as
    select arm_role, true as is_complete, false as is_sample_ratio_alarm, 'undecided' as status, 200 as recorded,
        1 as unidentified, 0 as contaminated, 0.2 as conversion, 0.5 as probability_best, 0.4 as conversion_p_value
    from unnest(['holdout', 'variant', 'variant']) as arms(arm_role)
"""
FAULTS = {
    "column_values_to_be_between__sample_ratio_alarm": "set is_sample_ratio_alarm = true",
    "column_values_to_be_between__no_holdout": "set status = 'no_holdout'",
    "column_values_to_be_between__lost_share": "set contaminated = 30",
    "column_values_to_be_between__conversion": "set conversion = 1.2",
    "column_values_to_be_between__probability_best": "set probability_best = -0.1",
    "column_values_to_be_between__conversion_p_value": "set conversion_p_value = 1.1",
}
RAW = """
    create or replace table raw.campaigns as
    select 'c' || n as campaign_id, '2024-01-01T08:00:00Z' as started_at, '2024-01-15T08:00:00Z' as ended_at
    from range(4) as campaigns(n);
    create or replace table raw.campaign_assignments as
    select 'a' || n as customer_id, cast(null as varchar) as email, 'a' as arm, '2024-01-01T07:00:00Z' as assigned_at
    from range(4) as assignments(n)
"""
RAW_FAULTS = {
    "column_values_to_not_be_null__ended_at": "update raw.campaigns set ended_at = null where campaign_id != 'c0'",
    "column_values_to_be_between__days": (
        "update raw.campaigns set started_at = '2024-02-01T08:00:00Z' where campaign_id = 'c0'"
    ),
    "column_values_to_be_between__started_at": (
        "update raw.campaigns set started_at = '1924-02-01T08:00:00Z' where campaign_id = 'c1'"
    ),
    "column_values_to_not_be_null__assigned_at": "update raw.campaign_assignments set assigned_at = '1.2.24'",
    "column_values_to_not_be_null__person": "update raw.campaign_assignments set customer_id = ' '",
    "column_values_to_not_be_null__arm": "update raw.campaign_assignments set arm = null",
}


def _folder(path, *names):
    folder = path / "expectations"
    folder.mkdir()
    for name in names:
        shutil.copy(FOLDER / f"{name}.yml", folder)
    return folder


def _red(results):
    return {name for name, result in results.items() if not result.success}


def test_the_suite_of_campaign_results_is_green_and_goes_red_with_each_fault(tmp_path):
    folder = _folder(tmp_path, "marts.campaign_results")
    good = check(home_with(tmp_path / "good", MART), folder)
    assert _red(good) == set()
    assert set(good) == set(FAULTS)
    faults = [f"update marts.campaign_results {fault}" for fault in FAULTS.values()]
    assert _red(check(home_with(tmp_path / "bad", MART, *faults), folder)) == set(FAULTS)


def test_the_suites_of_what_campaigns_deliver_are_green_and_go_red_with_each_fault(tmp_path):
    folder = _folder(tmp_path, "raw.campaigns", "raw.campaign_assignments")
    good = check(home_with(tmp_path / "good", RAW), folder, stage="raw")
    assert _red(good) == set()
    assert {name for name in good if not name.startswith("drift")} == set(RAW_FAULTS)
    assert _red(check(home_with(tmp_path / "bad", RAW, *RAW_FAULTS.values()), folder, stage="raw")) == set(RAW_FAULTS)
