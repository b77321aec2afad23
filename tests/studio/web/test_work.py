"""The labelling screen over HTTP: what is shown, what is stored, and how fast."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.group import Group, Message, Prompt, Response
from truing.studio import review
from truing.studio.store import Store
from truing.studio.web.app import create_app
from truing.studio.web.views import describe

BrowserFor = Callable[[str], Any]


def boot(html: str) -> Any:
    """What the page's script begins with."""
    return json.loads(html.partition('<script type="application/json" id="boot">')[2].partition("</script>")[0])


def sent(choice: str = "first", key: str = "k", **more: Any) -> dict[str, Any]:
    return {"answer": {"choice": choice, **more}, "key": key, "seconds": 2.0}


def test_a_task_is_answered_and_another_comes(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    first = boot(ann.page("/"))["task"]
    second = ann.get(f"/api/projects/{house.project}/next?besides={first['id']}")["task"]
    assert second["id"] != first["id"]
    assert second["texts"][0] in second["html"]
    ann.post(first["paths"]["submit"], sent("tie"))
    # The one that was fetched ahead is the one that is open now.
    assert boot(ann.page("/"))["task"]["id"] == second["id"]


def test_what_was_first_on_the_screen_is_stored_in_the_items_own_order(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    person = house.store.person_named("ann").id
    turned = set()
    for number in range(10):
        shown = boot(ann.page("/"))["task"]
        ann.post(shown["paths"]["submit"], sent("first", key=str(number), strength=2))
        task = house.store.task(shown["id"], person)
        first = task.group.responses[task.order[0]].text
        assert shown["texts"][0] == first
        assert task.answer["choice"] == ("first" if task.order[0] == 0 else "second")
        assert describe("pair", task.answer, task.order) == "A clearly better"
        turned.add(task.order)
    assert turned == {(0, 1), (1, 0)}
    assert "All done" in ann.page("/")


def test_the_same_key_stores_one_answer(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    task = boot(ann.page("/"))["task"]
    one = ann.post(task["paths"]["submit"], sent("first", key="once"))
    two = ann.post(task["paths"]["submit"], sent("first", key="once"))
    assert one == {"answer_id": one["answer_id"], "is_new": True}
    assert two == {"answer_id": one["answer_id"], "is_new": False}
    assert len(house.store.recent(house.project, house.store.person_named("ann").id)) == 1


def test_a_draft_survives_a_reload_and_an_undo_brings_the_answer_back(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    task = boot(ann.page("/"))["task"]
    ann.post(task["paths"]["draft"], {"value": {"choice": "second", "strength": 3, "comment": "half a"}})
    again = boot(ann.page("/"))["task"]
    assert again["id"] == task["id"]
    assert again["draft"] == {"choice": "second", "strength": 3, "comment": "half a"}
    ann.post(task["paths"]["submit"], sent("second", strength=1))
    back = ann.post(f"/api/projects/{house.project}/undo", {})["task"]
    assert (back["id"], back["draft"]["choice"], back["draft"]["strength"]) == (task["id"], "second", 1)


def test_an_answer_is_changed_later_and_both_stand_in_the_history(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    task = boot(ann.page("/"))["task"]
    ann.post(task["paths"]["submit"], sent("first"))
    assert f'href="/tasks/{task["id"]}"' in ann.page(f"/projects/{house.project}/answers")
    page = boot(ann.page(f"/tasks/{task['id']}"))
    assert (page["mode"], page["task"]["draft"]["choice"]) == ("revise", "first")
    ann.post(page["task"]["paths"]["submit"], sent("both_bad", key="k2"))
    item = house.store.task(task["id"], house.store.person_named("ann").id).item_id
    assert [event.kind for event in house.store.history(item)][-2:] == ["answered", "revised"]
    assert "revised" in browser("rita").page(f"/items/{item}/history")


def test_a_skipped_item_goes_to_somebody_else(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    task = boot(ann.page("/"))["task"]
    ann.post(task["paths"]["skip"], {"reason": "It is broken"})
    assert boot(ann.page("/"))["task"]["id"] != task["id"]
    assert "It is broken" in ann.page(f"/projects/{house.project}/answers")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"answer": "first", "key": "k", "seconds": 1},
        {"answer": {"choice": "third"}, "key": "k", "seconds": 1},
        {"answer": {"choice": "first", "more": 1}, "key": "k", "seconds": 1},
        {"answer": {"choice": "first"}, "key": "", "seconds": 1},
        {"answer": {"choice": "first"}, "key": "k", "seconds": "1"},
        {"answer": {"choice": "first"}, "key": "k", "seconds": -1},
        {"answer": {"choice": "first"}, "key": "k", "seconds": True},
        {"answer": {"choice": ["first"]}, "key": "k", "seconds": 1},
    ],
)
def test_an_answer_that_cannot_be_meant_is_refused_with_a_word(house: Any, browser: BrowserFor, body: Any) -> None:
    ann = browser("ann")
    task = boot(ann.page("/"))["task"]
    assert ann.post(task["paths"]["submit"], body, status=422)["error"]
    assert house.store.task(task["id"], house.store.person_named("ann").id).answer is None


def test_hostile_answers_come_out_as_text(tmp_path: Path, hostile: list[str], signed_in: Any) -> None:
    with Store.open(tmp_path / "hostile.db") as store:
        project = store.create_project("<script>alert(1)</script>", "pair", {}, hostile[0], gold_share=0)
        items = [Group(Prompt.of(text), (Response.of(text), Response.of(f"{text} again"))) for text in hostile]
        store.add_items(project.id, items)
        ann = signed_in(create_app(store), store.add_person("<b>ann</b>")[1])
        for number in range(len(hostile)):
            page = ann.page("/")
            task = boot(page)["task"]
            # The same three scripts of ours as on every page; the data is in the third and cannot end it.
            assert page.count("<script") == page.count("</script>") == 3
            for html in (
                page.partition('<main id="main">')[2].partition("</main>")[0],
                task.get("html", ""),
            ):
                for bad in ("<script", "<img", "<style", "<iframe", "<link", "<div style", 'href="javascript'):
                    assert bad not in html.replace("&lt;", "").replace("[click](", "["), bad
                assert "\u202e" not in html
            ann.post(task["paths"]["submit"], sent("tie", key=str(number)))
        assert "All done" in ann.page("/")
        assert "<b>" not in ann.page(f"/projects/{project.id}/answers")


def test_a_megabyte_comes_in_parts(tmp_path: Path, signed_in: Any) -> None:
    long = "A paragraph of ten words that says nothing at all.\n\n" * 20_000
    with Store.open(tmp_path / "long.db") as store:
        project = store.create_project("long", "pair", gold_share=0)
        store.add_items(project.id, [Group(Prompt.of("?"), (Response.of(long), Response.of("short")))])
        ann = signed_in(create_app(store), store.add_person("ann")[1])
        page = ann.page("/")
        assert len(page) < 400_000
        path = page.partition('data-path="')[2].partition('"')[0]
        number = 0
        while path:
            said = ann.get(path)
            number += said["html"].count("A paragraph")
            path = said["next"]
        # The first part is on the page itself.
        assert 20_000 - number == page.partition('id="boot"')[0].count("A paragraph")
        ann.get(f"/api/tasks/{boot(page)['task']['id']}/text/0.0/9999", status=422)
        ann.get(f"/api/tasks/{boot(page)['task']['id']}/text/5.5/0", status=422)


def test_who_wrote_an_answer_is_nowhere_on_the_page(tmp_path: Path, signed_in: Any) -> None:
    with Store.open(tmp_path / "blind.db") as store:
        project = store.create_project("blind", "pair", gold_share=0)
        columns = {"models": ["secret-7b", "other-70b"], "answer": "the secret"}
        store.add_items(project.id, [Group(Prompt.of("?"), (Response.of("a"), Response.of("b")), columns=columns)])
        ann = signed_in(create_app(store), store.add_person("ann")[1])
        assert "secret" not in ann.page("/")


def test_a_reviewer_decides_between_two(house: Any, browser: BrowserFor) -> None:
    for name, choice in (("ann", 0), ("ben", 1)):
        who, person = browser(name), house.store.person_named(name).id
        task = house.store.next_task(house.project, person)
        shown = "first" if task.order[0] == choice else "second"
        who.post(f"/api/tasks/{task.id}/answer", sent(shown, comment=f"{name} <b>says</b>"))
    (found,) = review.disagreements(house.store, house.project)
    rita = browser("rita")
    assert f"/items/{found.item_id}" in rita.page(f"/projects/{house.project}/review")
    page = rita.page(f"/items/{found.item_id}")
    assert "ann &lt;b&gt;says&lt;/b&gt;" in page
    assert "A better" in page
    assert "B better" in page
    rita.post(f"/api/items/{found.item_id}/decide", {"answer": {"choice": "second"}, "key": "v"})
    assert review.item(house.store, found.item_id).verdict.value["choice"] == "second"
    browser("ann").post(f"/api/items/{found.item_id}/decide", {"answer": {"choice": "first"}, "key": "w"}, status=403)


def test_the_dashboard_counts_and_exports(house: Any, browser: BrowserFor) -> None:
    ann, ada = browser("ann"), browser("ada")
    for number in range(3):
        ann.post(boot(ann.page("/"))["task"]["paths"]["submit"], sent("first", key=str(number)))
    page = ada.page(f"/projects/{house.project}/dashboard")
    assert "3 <small>of 20 wanted, on 10 items" in page
    assert "question" in ada.page(f"/projects/{house.project}/coverage")
    said = ada.client.get(f"/projects/{house.project}/export/preference")
    assert said.headers["content-disposition"] == 'attachment; filename="helpful.preference.jsonl"'
    rows = [json.loads(line) for line in said.text.splitlines()]
    assert len(rows) == 3
    assert {row["annotator_id"] for row in rows} == {"ann"}
    assert ada.client.get(f"/projects/{house.project}/export/..%2f..").status_code in (404, 422)


def test_an_admin_adds_pauses_and_renews(house: Any, browser: BrowserFor, signed_in: Any) -> None:
    ada = browser("ada")
    page = ada.form("/people", name="eve <i>", role="annotator").text
    assert "<i>" not in page
    key = page.partition("/sign-in#")[2].partition("<")[0].strip()
    eve = house.store.person_named("eve <i>")
    assert house.store.person_by_token(key) == eve
    ada.form(f"/people/{eve.id}", do="pause")
    assert "paused" in signed_in(house.app, key).page("/")
    ada.form(f"/people/{eve.id}", do="resume")
    assert boot(signed_in(house.app, key).page("/"))["task"]
    ada.form(f"/people/{eve.id}", do="link")
    assert house.store.person_by_token(key) is None
    assert ada.form("/people", name="", role="annotator").status_code == 422


def test_the_model_of_a_red_team_conversation_answers(tmp_path: Path, signed_in: Any) -> None:
    heard: list[list[Message]] = []

    def talk(turns: Any) -> str:
        heard.append(list(turns))
        return "No. <script>window.pwned=1</script>"

    with Store.open(tmp_path / "red.db") as store:
        project = store.create_project("red", "red_team", gold_share=0)
        store.add_items(project.id, [Group(Prompt.of("Try to get a recipe."))])
        ann = signed_in(create_app(store, talk=talk), store.add_person("ann")[1])
        paths = boot(ann.page("/"))["task"]["paths"]
        turns = [{"role": "user", "content": "Tell me."}]
        said = ann.post(paths["talk"], {"turns": turns})
        assert said["content"] == "No. <script>window.pwned=1</script>"
        assert "<script" not in said["html"]
        assert heard == [[Message("user", "Tell me.")]]
        for bad in ([], turns * 2, [{"role": "assistant", "content": "x"}], [{"role": "user"}], "x", turns * 500):
            ann.post(paths["talk"], {"turns": bad}, status=422)
        turns.append({"role": "assistant", "content": said["content"]})
        ann.post(paths["submit"], {"answer": {"harm": 0, "turns": turns, "comment": None}, "key": "k", "seconds": 3})
        assert "Harm 0, 2 turns" in ann.page(f"/projects/{project.id}/answers")


def test_the_result_of_a_test_item_is_told(tmp_path: Path, pairs: Any, signed_in: Any) -> None:
    with Store.open(tmp_path / "test.db") as store:
        project = store.create_project("tested", "pair", qualification_pass=0.5, gold_share=0)
        gold = [{"choice": "first", "reason": "It is shorter."}] * 2
        store.add_items(project.id, pairs(2), gold=gold, qualification=True)
        store.add_items(project.id, pairs(5, 10))
        person, key = store.add_person("ann")
        ann = signed_in(create_app(store), key)
        assert "Test item" in ann.page("/")
        for number in range(2):
            task = store.next_task(project.id, person.id)
            said = ann.post(f"/api/tasks/{task.id}/answer", sent("tie", key=str(number)))
            assert said["bad"]
            assert said["note"] == f"Expected: {'AB'[task.order.index(0)]} better. It is shorter."
        assert "The test was not passed" in ann.page("/")


def test_an_answer_takes_milliseconds(tmp_path: Path, pairs: Any, signed_in: Any) -> None:
    with Store.open(tmp_path / "fast.db") as store:
        project = store.create_project("fast", "pair", gold_share=0)
        store.add_items(project.id, pairs(200))
        ann = signed_in(create_app(store, writes_per_second=1e6), store.add_person("ann")[1])
        taken = []
        for number in range(100):
            task = ann.get(f"/api/projects/{project.id}/next")["task"]
            start = time.perf_counter()
            ann.post(task["paths"]["submit"], sent("first", key=str(number)))
            taken.append(time.perf_counter() - start)
        # 20 ms is the aim on a quiet machine; a busy one is given more.
        assert statistics.median(taken) < 0.2
