"""The shipped suites of segments on small tables: green, and red with each fault."""

from tests.quality.support import green_and_red_with_all_faults

TABLES = ("segment_membership", "segment_history", "segment_sizes")

GOOD = """
    create table marts.segment_membership as
    select 'win_back' as segment, 'k' || n as customer_key, n % 2 = 0 as in_grace,
        case when n % 2 = 0 then date '2024-04-01' end as grace_until, 'offer' as experiment,
        cast(n * 100 as integer) as bucket, 'treatment' as arm, date '2024-03-31' as as_of_date
    from range(100) as people(n)
    union all
    select 'vip', 'k1', false, null, null, null, null, date '2024-03-31';
    create table marts.segment_history as
    select 'win_back' as segment, 'k1' as customer_key, date '2024-03-01' as entered_on, date '2024-03-02' as left_on
    union all
    select 'win_back', 'k1', date '2024-03-31', null;
    create table marts.segment_sizes as
    select 'win_back' as segment, date '2024-03-31' as date, 90 as opening, 12 as entered, 1 as left_members,
        1 as merged, 100 as size, 0.4 as share
    union all
    select 'nobody', date '2024-03-31', 0, 0, 0, 0, 0, null;
"""

FAULTS = {
    "column_values_to_be_between__bucket": "update marts.segment_membership set bucket = 10000 where bucket = 100",
    "everybody_in_an_experiment_has_an_arm": "update marts.segment_membership set arm = null where bucket = 200",
    "column_max_to_be_between__as_of_date": "update marts.segment_membership set as_of_date = as_of_date - 1",
    "grace_is_not_over": "update marts.segment_membership set grace_until = as_of_date where bucket = 400",
    "column_values_to_be_between__ends_before_it_begins": (
        "update marts.segment_history set left_on = entered_on where left_on is not null"
    ),
    "column_max_to_be_between__entered_on": (
        "update marts.segment_history set entered_on = date '2024-04-01' where left_on is null"
    ),
    "sizes_add_up": "update marts.segment_sizes set entered = entered + 1 where size = 100",
    "column_values_to_be_between__share": "update marts.segment_sizes set share = 1.1 where size = 100",
    "column_max_to_be_between__date": "update marts.segment_sizes set date = date - 1",
}


def test_the_suites_of_segments_are_green_and_go_red_with_each_fault(tmp_path):
    green_and_red_with_all_faults(tmp_path, TABLES, GOOD, FAULTS)
