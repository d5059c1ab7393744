"""A whole job on the embedded model: what is tuned beats the controls, or nothing is registered.

`scripts/stress smollm2` runs it, several minutes on two cores.
"""

import random
from pathlib import Path

import pytest

from tests.long_list import in_full
from tests.tools.tuning.test_tuning import Bureau
from tools.tuning import tuning
from tools.tuning.errors import NotBetter
from tools.tuning.job_report import JobReport
from tools.tuning.method_catalogue import method_class
from tools.tuning.skill_store import SkillStore

CASES = {
    "kv_prefix": {"steps": 8, "template": "label"},
    "soft_prompt": {"steps": 8, "template": "label"},
    "lora": {"steps": 4, "template": "label"},
}
GOOD = ("lovely", "wonderful", "great", "brilliant", "charming")
BAD = ("awful", "terrible", "dreadful", "horrible", "dull")
THINGS = ("film", "book", "song", "play", "story", "dinner", "hotel", "walk")


def reviews(folder: Path, count: int, *, chance: bool) -> Path:
    """Reviews whose word tells the label; by chance the label has nothing to do with it."""
    dice = random.Random(0)
    rows = ["text,label"]
    for i in range(count):
        label = ("good", "bad")[i % 2]
        word = dice.choice(GOOD if label == "good" else BAD)
        if chance:
            label = dice.choice(("good", "good", "bad"))
        rows.append(f"a {word} {dice.choice(THINGS)} on day {i},{label}")
    path = folder / "reviews.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.stress("smollm2")
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("chance", [False, True] if in_full() else [])
@pytest.mark.parametrize("name", CASES)
def test_a_skill_beats_the_majority_or_there_is_none(
    name: str, chance: bool, weights: Path, tmp_path: Path
) -> None:
    bureau = Bureau(weights)
    job = bureau.job(
        reviews(tmp_path, 60, chance=chance),
        method=name,
        settings=CASES[name],
        budget_seconds=3_000.0,
        device="cpu",
    )
    classes = {each: method_class(each) for each in ("majority", name)}
    if chance:
        with pytest.raises(NotBetter, match="nothing beat the controls"):
            tuning.run(job.spec(), job.folder, weights, classes=classes)
        assert SkillStore(weights).names() == []
        assert "nothing was registered" in JobReport.read(job.folder).status
        return
    tuning.run(job.spec(), job.folder, weights, classes=classes)
    card = SkillStore(weights).get("mood").card
    assert card.test is not None
    assert card.test.value > card.test.controls["majority"]
    assert card.method == name
