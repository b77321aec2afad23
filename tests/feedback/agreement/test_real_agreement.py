"""Agreement on real public files equals what scikit-learn 1.9.1, statsmodels 0.15, krippendorff 0.9 and irrCAC 0.4.4
make of the raw files, read without anything of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from truing.feedback.agreement import Agreement, agreement
from truing.feedback.convert import convert


@pytest.fixture(scope="session")
def human(real_data: Path) -> Path:
    return real_data / "human_comparisons"


def kappas(found: Agreement, one: str, other: str) -> tuple[int, float, float]:
    pair = next(pair for pair in found.pairs if {pair.first, pair.second} == {one, other})
    assert pair.kappa is not None
    assert pair.weighted is not None
    return pair.num_items, pair.kappa.value, pair.weighted.value


def values(found: Agreement, *names: str) -> list[float]:
    return [found.overall[name].value for name in names]


def test_pandalms_three_annotators_row_by_row(human: Path) -> None:
    (found,) = agreement(human / "pandalm_testset.jsonl.gz", item="idx").questions
    assert found.num_items == 700
    assert kappas(found, "annotator1", "annotator2") == pytest.approx((700, 0.848091, 0.855145), abs=1e-6)
    assert kappas(found, "annotator1", "annotator3") == pytest.approx((700, 0.879076, 0.889946), abs=1e-6)
    assert kappas(found, "annotator2", "annotator3") == pytest.approx((700, 0.863628, 0.870798), abs=1e-6)
    assert values(found, "fleiss", "alpha_nominal", "alpha_ordinal") == pytest.approx(
        [0.863565, 0.863630, 0.872364], abs=1e-6
    )
    assert found.met(0.6)


def test_pandalm_says_the_same_of_the_same_texts_and_they_count_once(human: Path) -> None:
    (found,) = agreement(human / "pandalm_testset.jsonl.gz").questions
    assert (found.num_items, found.num_repeats, found.num_repeats_alike) == (626, 222, 222)
    assert kappas(found, "annotator1", "annotator2") == pytest.approx((626, 0.841198, 0.852485), abs=1e-6)
    assert values(found, "fleiss", "alpha_nominal", "alpha_ordinal") == pytest.approx(
        [0.857566, 0.857642, 0.869006], abs=1e-6
    )


def test_the_crowd_of_llmfao_agrees_little(human: Path) -> None:
    (found,) = agreement(human / "llmfao_crowd_comparisons.jsonl.gz", item="id").questions
    assert (found.num_items, found.num_ratings, len(found.annotators), found.num_repeats) == (1296, 5433, 124, 0)
    # irrCAC gives five digits of Fleiss' kappa for varying numbers of raters.
    assert values(found, "percent", "fleiss") == pytest.approx([0.51698, 0.26284], abs=6e-6)
    assert values(found, "alpha_nominal", "alpha_ordinal") == pytest.approx([0.268227, 0.246637], abs=1e-6)
    assert kappas(found, "11", "47") == pytest.approx((179, 0.119547, 0.054846), abs=1e-6)
    assert kappas(found, "107", "38") == pytest.approx((144, 0.490903, 0.576471), abs=1e-6)
    assert kappas(found, "15", "58") == pytest.approx((81, -0.050188, -0.163958), abs=1e-6)
    assert found.met(0.6) is False
    assert found.overall["fleiss"].high < 0.6


def test_the_double_labels_of_xstest(real_data: Path) -> None:
    path = real_data / "reward_bench" / "xstest_mistralinstruct_labelled.jsonl.gz"
    (found,) = agreement(path, columns=["annotation_1", "annotation_2"], by="type").questions
    assert values(found, "percent", "cohen", "fleiss", "alpha_nominal") == pytest.approx(
        [439 / 450, 0.919545, 0.919508, 0.919597], abs=1e-6
    )
    assert sum(found.confusions.values()) == 11
    assert next(iter(found.by)) == "privacy_fictional"


@pytest.mark.parametrize("tool", ["label_studio", "argilla"])
def test_a_labelling_tool_holds_the_same_votes(human: Path, tmp_path: Path, tool: str) -> None:
    convert(human / "pandalm_testset.jsonl.gz", tmp_path / "t.json", to=tool)
    (found,) = agreement(tmp_path / "t.json", item="idx").questions
    assert values(found, "fleiss", "alpha_ordinal") == pytest.approx([0.863565, 0.872364], abs=1e-6)
