"""`truing collect`: from a file to links that work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from truing.errors import UserError
from truing.group import Group, Prompt, Response
from truing.rollouts.sampling import Sampling
from truing.studio.store import Store
from truing.studio.web.candidates import generated, needed, talk_to
from truing.studio.web.collect import Answered, answered_by, prepare, sign_in_links
from truing.studio.web.serve import address, listen


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


ROWS = [{"prompt": f"q{i}", "chosen": f"yes {i}", "rejected": f"no {i}"} for i in range(4)]


def test_a_file_becomes_a_project_and_the_same_file_again_adds_nothing(tmp_path: Path) -> None:
    file = written(tmp_path / "pairs.jsonl", ROWS)
    rules = tmp_path / "rules.md"
    rules.write_text("# Rules", encoding="utf-8")
    gold = written(
        tmp_path / "gold.jsonl", [{"prompt": "g", "chosen": "a", "rejected": "b", "gold": {"choice": "first"}}]
    )
    with Store.open(tmp_path / "studio.db") as store:
        project, added = prepare(store, file, "pair", guidelines=rules, gold=gold, overlap=3, overlap_share=0.5)
        assert (project.name, project.guidelines, project.overlap, added) == ("pairs", "# Rules", 3, 5)
        assert store.num_items(project.id) == {"work": 4, "gold": 1}
        again, added = prepare(store, file, "pair")
        assert (again.id, added) == (project.id, 0)
        with pytest.raises(UserError, match="is of kind `pair`, not `ranking`"):
            prepare(store, file, "ranking")


def test_a_red_team_project_keeps_only_what_is_to_be_tried(tmp_path: Path) -> None:
    file = written(tmp_path / "tries.jsonl", ROWS)
    with Store.open(tmp_path / "studio.db") as store:
        project, added = prepare(store, file, "red_team")
        person, _ = store.add_person("ann")
        task = store.next_task(project.id, person.id)
        assert added == 4
        assert task
        assert task.group.responses == ()


def test_everybody_gets_a_link_once_and_an_admin_is_always_there(tmp_path: Path) -> None:
    with Store.open(tmp_path / "studio.db") as store:
        first = sign_in_links(store, "http://x", ["ann", "ben"])
        assert [(each.name, each.role) for each in first] == [
            ("ann", "annotator"),
            ("ben", "annotator"),
            ("admin", "admin"),
        ]
        assert all(each.url and each.url.startswith("http://x/sign-in#") for each in first)
        second = sign_in_links(store, "http://x", ["ann"])
        assert [(each.name, each.url) for each in second] == [("ann", None), ("admin", None)]
        third = sign_in_links(store, "http://x", ["ann"], renew=True)
        assert third[0].url
        assert store.person_by_token(str(first[0].url).partition("#")[2]) is None
        assert store.person_by_token(third[0].url.partition("#")[2]) == store.person_named("ann")


def test_a_port_that_is_taken_is_said_at_once() -> None:
    taken = listen("127.0.0.1", 0)
    try:
        port = taken.getsockname()[1]
        assert address(taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(UserError, match=f"port {port} of 127.0.0.1 cannot be used"):
            listen("127.0.0.1", port)
    finally:
        taken.close()


def test_two_models_battle_blindly(toy_folder: Path, tmp_path: Path) -> None:
    prompts = written(tmp_path / "prompts.jsonl", [{"prompt": "the cat"}, {"prompt": "the dog"}])
    sampling = Sampling(max_new_tokens=6, seed=0)
    models = [str(toy_folder), f"{toy_folder}/."]
    assert (needed("pair", 1), needed("pair", 2), needed("thumbs", 2)) == (2, 1, 1)
    groups = list(generated(prompts, "pair", models, 2, sampling))
    assert groups
    for group in groups:
        assert len({response.text for response in group.responses}) == 2
        assert len(group.columns["models"]) == 2
    (ranking, _) = generated(prompts, "ranking", models[:1], 4, sampling)
    assert 2 <= len(ranking.responses) <= 4
    with pytest.raises(UserError, match="compares at least 2"):
        list(generated(prompts, "pair", models[:1], 1, sampling))


def test_a_model_can_be_talked_to(toy_folder: Path) -> None:
    said = talk_to(str(toy_folder), Sampling(max_new_tokens=4, seed=0))(Prompt.of("the cat").messages)
    assert isinstance(said, str)


def test_models_answer_or_talk_and_without_one_the_file_has_the_answers(toy_folder: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "prompts.jsonl", [{"prompt": "the cat"}, {"prompt": "the dog"}])
    model, sampling = str(toy_folder), Sampling(max_new_tokens=4, seed=0)
    assert answered_by([], file, "pair", None, sampling) == Answered()
    made = answered_by([model], file, "thumbs", 2, sampling)
    assert made.make is not None
    assert made.talk is None
    assert {len(group.responses) for group in made.make()} == {1}
    talking = answered_by([model], file, "red_team", None, sampling)
    assert talking.make is None
    assert talking.talk is not None
    with pytest.raises(UserError, match="2 models to talk to"):
        answered_by([model, model], file, "red_team", None, sampling)
    with pytest.raises(UserError, match="no model to talk to"):
        answered_by([], file, "red_team", None, sampling)
    with pytest.raises(UserError, match="--samples 3, and nothing says of which model"):
        answered_by([], file, "pair", 3, sampling)


def test_items_of_another_kind_are_refused_with_their_place(tmp_path: Path) -> None:
    with Store.open(tmp_path / "studio.db") as store:
        one = [Group(Prompt.of("q"), (Response.of("a"),))]
        with pytest.raises(UserError, match="asks about 2"):
            prepare(store, "made", "pair", make=lambda: one)
