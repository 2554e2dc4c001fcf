"""What docs/metrics.md says by example is what the marts say."""

from __future__ import annotations

import pytest

from tests.docs.examples import Example, answer, examples
from tests.support import Project

EXAMPLES = list(examples())


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_a_worked_example_says_what_the_marts_say(example: Example) -> None:
    assert answer(example, Project.compile()) == example.says


def test_the_page_works_through_the_policies_that_people_ask_about() -> None:
    worked = {example.section for example in EXAMPLES}
    assert {"Which orders count", "Net revenue", "RFM scores", "Cohorts", "At risk and lapsed"} <= worked
    assert {"Retention rate and churn rate", "Recurring revenue", "Net promoter score"} <= worked
