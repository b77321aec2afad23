"""The wordings and their splits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from truing import lab
from truing.errors import UserError
from truing.lab.wordings import ITEMS, PHRASINGS, SPLITS, all_requests, document_requests, is_new


def test_there_are_3192_different_prompts() -> None:
    # 38 how-tos x 6 phrasings x 6 openings + 76 facts, lists and problems x 4 phrasings x 6 openings
    assert len(all_requests()) == len({r.text for r in all_requests()}) == 38 * 36 + 76 * 24 == 3192


def test_the_splits_have_these_sizes() -> None:
    sizes = {split: len(lab.requests(split)) for split in SPLITS}
    assert sizes == {"train": 1899, "dev": 273, "test": 540, "new": 243}


def test_an_item_is_either_new_or_in_all_other_splits() -> None:
    splits: dict[tuple[str, str], set[str]] = {}
    for split in SPLITS:
        for request in lab.requests(split):
            splits.setdefault((request.kind, request.item), set()).add(split)
    assert len(splits) == 114
    assert not {r.text for split in ("dev", "test", "new") for r in lab.requests(split)} & {
        r.text for r in document_requests()
    }
    for (kind, item), found in splits.items():
        assert found == ({"new"} if is_new(kind, item) else {"train", "dev", "test"})


def test_every_kind_has_a_new_item() -> None:
    assert {r.kind for r in lab.requests("new")} == set(ITEMS)


def test_a_new_animal_is_new_for_both_facts() -> None:
    new = {kind: {r.item for r in lab.requests("new") if r.kind == kind} for kind in ("home", "food")}
    assert new["home"] == new["food"] == {"frog", "horse", "goat"}


def test_every_item_is_trained_on_in_every_phrasing() -> None:
    train = {r.text.lower() for r in lab.requests("train")}
    for kind in ("how", "harmless", "harm", "list", "problem"):
        for item in ITEMS[kind]:
            if not is_new(kind, item):
                for phrasing in PHRASINGS[kind]:
                    assert any(text.endswith(phrasing.format(item).lower()) for text in train)


def test_the_split_is_the_same_in_every_process() -> None:
    code = "from truing import lab; print([r.text for r in lab.requests('test')])"
    runs = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_an_unknown_split_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"no split 'valid'\n.*train, dev, test, new"):
        lab.requests("valid")


def test_the_world_imports_no_torch() -> None:
    code = "import sys; from truing import lab; lab.prompts('test'); assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
