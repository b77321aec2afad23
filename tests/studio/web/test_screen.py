"""The page on which an item is judged, whoever judges it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

BrowserFor = Callable[[str], Any]


def boot(html: str) -> Any:
    """What the page's script begins with."""
    return json.loads(html.partition('<script type="application/json" id="boot">')[2].partition("</script>")[0])


def test_the_script_learns_where_it_goes_on_from_and_where_it_goes_back_to(house: Any, browser: BrowserFor) -> None:
    ann, base = browser("ann"), f"/projects/{house.project}"
    work = boot(ann.page(base))
    assert (work["mode"], work["next"], work["undo"]) == ("work", f"/api{base}/next", f"/api{base}/undo")
    assert (work["back"], work["progress"]["done"]) == (None, 0)
    ann.post(work["task"]["paths"]["submit"], {"answer": {"choice": "first"}, "key": "k", "seconds": 1.0})
    revised = boot(ann.page(f"/tasks/{work['task']['id']}"))
    assert (revised["mode"], revised["next"], revised["undo"]) == ("revise", None, None)
    assert (revised["back"], revised["progress"]) == (f"{base}/answers", None)
    item = house.store.task(work["task"]["id"], house.store.person_named("ann").id).item_id
    review = boot(browser("rita").page(f"/items/{item}"))
    assert (review["mode"], review["back"], review["task"]["paths"]["skip"]) == ("review", f"{base}/review", None)


def test_guidelines_are_shown_and_known_by_their_content(house: Any, browser: BrowserFor) -> None:
    ann = browser("ann")
    page = ann.page("/")
    assert ">Rules</h4>" in page
    assert "Be kind." in page
    first = boot(page)["guidelines"]
    assert boot(ann.page("/"))["guidelines"] == first
    house.store.update_project(house.project, guidelines="# Rules\n\nBe brief.")
    assert boot(ann.page("/"))["guidelines"] not in (first, None)
    house.store.update_project(house.project, guidelines=" \n")
    page = ann.page("/")
    assert "There are no written guidelines" in page
    assert boot(page)["guidelines"] is None
