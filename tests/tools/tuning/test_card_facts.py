"""What the card of a new skill says of licences: of the base model what is known, of the data what
the person who tuned it said."""

from pathlib import Path

import pytest

from tests.tools.tuning.plain_methods import Words, reviews
from tests.tools.tuning.test_tuning import Bureau, write_csv
from tools.tuning.card_facts import licence_of
from tools.tuning.skill_store import SkillStore


@pytest.mark.parametrize(
    ("base", "data", "said"),
    [
        ({}, None, "training data not stated"),
        ({}, "CC0", "training data CC0"),
        ({"name": "minilm-l6"}, None, "base model Apache-2.0; training data not stated"),
        ({"name": "minilm-l6"}, "CC BY 4.0", "base model Apache-2.0; training data CC BY 4.0"),
        ({"name": "my-model"}, "CC0", "base model not stated; training data CC0"),
    ],
)
def test_the_licence_is_that_of_the_base_and_that_of_the_data(
    base: dict[str, str], data: str | None, said: str
) -> None:
    assert licence_of(base, data) == said


def test_the_licence_that_a_job_was_given_stands_on_the_card(home: Path, tmp_path: Path) -> None:
    bureau = Bureau(home)
    job = bureau.job(write_csv(tmp_path / "train.csv", reviews(120)), licence="CC BY 4.0 (Mine)")
    bureau.run(job, Words)
    assert SkillStore(home).get("mood").card.licence == "training data CC BY 4.0 (Mine)"
