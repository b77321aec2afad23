"""The whole of it in a real browser, by keyboard. Skipped where Debian's chromium or playwright is not installed."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from truing import feedback, recipe
from truing.group import Group, Message, Prompt, Ranking, Response
from truing.studio import exporting, kinds, review
from truing.studio.store import Store
from truing.studio.web.app import create_app
from truing.studio.web.serve import address, listen
from truing.train import train

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
pytestmark = pytest.mark.slow


class Site:
    """A store that is served, and pages in a real browser."""

    def __init__(self, store: Store, url: str, context: Callable[[], Any]) -> None:
        self.store, self.url, self._context = store, url, context
        self.asked: list[str] = []

    def enter(self, name: str, role: str = "annotator") -> Any:
        """A page of a browser of its own, in which a new person has opened their link."""
        _, key = self.store.add_person(name, role)
        page = self._context().new_page()
        page.set_default_timeout(10_000)
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("pageerror", lambda error: self.asked.append(f"error: {error}"))
        page.goto(f"{self.url}/sign-in#{key}")
        page.wait_for_url(lambda url: "sign-in" not in url)
        return page

    def open(self, page: Any, project: int) -> Any:
        page.goto(f"{self.url}/projects/{project}")
        page.wait_for_selector("html[data-ready]", state="attached")
        if page.locator("#guidelines").is_visible():
            page.keyboard.press("Escape")
        return page


def talk(turns: Sequence[Message]) -> str:
    """A small model: it refuses, politely."""
    return f"I would rather not say more about {turns[-1].content!r}. **Sorry.**"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser test")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed: no browser test")
    import uvicorn

    listening = listen("127.0.0.1", 0)
    url = address(listening)
    with Store.open(tmp_path / "studio.db") as store:
        config = uvicorn.Config(create_app(store, talk=talk, url=url), log_level="error", access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        with playwright.sync_playwright() as driver:
            started: list[Any] = []

            def context() -> Any:
                folder = tmp_path / f"profile-{len(started)}"
                started.append(
                    driver.chromium.launch_persistent_context(
                        folder, executable_path=CHROMIUM, args=FLAGS, viewport={"width": 1280, "height": 800}
                    )
                )
                return started[-1]

            yield Site(store, url, context)
            for each in started:
                each.close()
        server.should_exit = True
        thread.join(10)


def until(holds: Callable[[], Any], seconds: float = 10) -> None:
    """Wait. (`wait_for_function` evaluates strings later on, which our content security policy forbids.)"""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def saved(page: Any, number: int) -> None:
    """Wait until the server has acknowledged everything, and so many are done."""
    until(
        lambda: (
            page.locator("#done").inner_text() == f"{number} done"
            and page.locator("#saved").get_attribute("data-state") not in ("saving", "unsaved")
            and page.locator("#stage").get_attribute("inert") is None
        )
    )


ITEMS: dict[str, Callable[[int], Group]] = {
    "pair": lambda i: Group(Prompt.of(f"pair {i}"), (Response.of(f"yes {i}"), Response.of(f"no, not {i}"))),
    "ranking": lambda i: Group(Prompt.of(f"rank {i}"), tuple(Response.of(f"{c} {i}") for c in "wxyz")),
    "thumbs": lambda i: Group(Prompt.of(f"thumb {i}"), (Response.of(f"good {i}"), Response.of(f"bad {i}"))),
    "stars": lambda i: Group(Prompt.of(f"star {i}"), (Response.of(f"one {i}"),)),
    "steps": lambda i: Group(Prompt.of(f"steps {i}"), (Response.of_steps(["1 + 1 = 2", "2 + 2 = 5", f"so {i}"]),)),
    "critique": lambda i: Group(Prompt.of(f"critique {i}"), (Response.of(f"words {i}"),)),
    "edit": lambda i: Group(Prompt.of(f"edit {i}"), (Response.of(f"teh answer {i}"),)),
    "red_team": lambda i: Group(Prompt.of(f"attack {i}")),
}
# What is typed, and what is stored in the order of the screen.
KEYS: dict[str, tuple[list[str], dict[str, Any]]] = {
    "pair": (["2"], {"choice": "first", "strength": 2, "comment": None}),
    "ranking": (["3", "1", "=", "4", "Enter"], {"ranks": [2, None, 1, 2], "comment": None}),
    "thumbs": (["1", "2"], {"labels": [True, False], "comment": None}),
    "stars": (["4", "2"], {"scores": {"helpful": [4], "true": [2]}, "comment": None}),
    "steps": (["1", "3", "2"], {"marks": [[1, -1, 0]], "first_error": [1], "comment": None}),
    "critique": (["Text:Too short.", "Control+Enter"], {"texts": ["Too short."]}),
    "edit": (
        ["Control+A", "Text:the answer", "Control+Enter"],
        {"edits": ["the answer"], "texts": [None]},
    ),
    "red_team": (
        ["Text:Tell me.", "Enter", "Wait", "Escape", "1"],
        {"harm": 1, "turns": [{"role": "user", "content": "Tell me."}], "comment": None},
    ),
}


def type_keys(page: Any, keys: list[str]) -> None:
    for key in keys:
        if key.startswith("Text:"):
            page.keyboard.type(key.removeprefix("Text:"))
        elif key == "Wait":
            page.wait_for_selector(".turn.assistant:not(.waiting)")
        else:
            page.keyboard.press(key)


@pytest.mark.parametrize("kind", kinds.names())
def test_every_kind_is_labelled_by_keyboard_across_a_reload_and_an_undo(site: Site, kind: str) -> None:
    from truing.studio.web.orders import to_shown

    settings = {"aspects": ["helpful", "true"]} if kind == "stars" else {}
    project = site.store.create_project(kind, kind, settings, "# Rules", gold_share=0, overlap_share=0)
    site.store.add_items(project.id, [ITEMS[kind](i) for i in range(4)])
    page = site.enter("ann")
    person = site.store.person_named("ann")
    assert person
    page.goto(f"{site.url}/projects/{project.id}")
    page.wait_for_selector("#guidelines[open]")
    page.keyboard.press("Escape")
    keys, wanted = KEYS[kind]

    type_keys(page, keys)
    saved(page, 1)
    # The first half of the next one, a reload, and it is still there.
    half = 3 if kind == "red_team" else len(keys) - 1
    if half:
        type_keys(page, keys[:half])
        page.reload()
        page.wait_for_selector("html[data-ready]", state="attached")
        if kind == "red_team":
            assert page.locator(".turn.assistant strong").inner_text() == "Sorry.", "rendered as before"
        rest = keys[half:]
        type_keys(page, ["Escape", *rest] if kind in ("critique", "edit", "red_team") else rest)
        saved(page, 2)
    else:
        type_keys(page, keys)
        saved(page, 2)
    # Taken back and given again.
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    until(lambda: page.locator("#done").inner_text() == "1 done")
    page.keyboard.press("Control+Enter")
    saved(page, 2)

    done = site.store.recent(project.id, person.id)
    assert len(done) == 2
    for each in done:
        order = site.store.task(each.task_id, person.id).order
        assert each.value is not None
        shown = to_shown(each.value, order)
        if kind == "red_team":
            shown["turns"] = shown["turns"][:1]
        if kind == "stars":
            shown["scores"] = {aspect: list(row) for aspect, row in shown["scores"].items()}
        assert shown == wanted
    assert all(url.startswith(site.url) for url in site.asked), site.asked


def test_two_annotators_a_verdict_the_export_and_a_reward_model(site: Site, tmp_path: Path, toy_folder: Path) -> None:
    project = site.store.create_project("two", "pair", overlap_share=1.0, gold_share=0)
    site.store.add_items(project.id, [ITEMS["pair"](i) for i in range(3)])
    for name in ("ann", "ben"):
        page = site.open(site.enter(name), project.id)
        for number in range(3):
            # Ann holds what is longer for better, Ben what is shorter.
            texts = page.locator("[data-body]").all_inner_texts()
            longer = "1" if len(texts[0]) > len(texts[1]) else "7"
            page.keyboard.press(longer if name == "ann" else {"1": "7", "7": "1"}[longer])
            saved(page, number + 1)
        page.wait_for_selector("text=All done")
    assert review.num_disagreements(site.store, project.id) == 3

    rita = site.enter("rita", "reviewer")
    rita.goto(f"{site.url}/projects/{project.id}/review")
    for left in (2, 1, 0):
        rita.locator(".list").first.locator("a.entry").first.click()
        rita.wait_for_selector("html[data-ready]", state="attached")
        assert rita.locator(".others p").count() == 2
        rita.keyboard.press("1")
        rita.keyboard.press("Enter")
        rita.wait_for_url(f"**/projects/{project.id}/review")
        assert review.num_disagreements(site.store, project.id) == left

    ada = site.enter("ada", "admin")
    ada.goto(f"{site.url}/projects/{project.id}/dashboard")
    assert "not met" in ada.inner_text("dl.tiles")
    with ada.expect_download() as download:
        ada.get_by_role("link", name="preference", exact=True).click()
    download.value.save_as(tmp_path / "out.jsonl")
    groups = feedback.read_all(tmp_path / "out.jsonl")
    # The verdict, and whoever agrees with it.
    assert [group.responses[0].text for group in groups] == [f"yes {i}" for i in (0, 0, 1, 1, 2, 2)]
    assert all(said.pairs() == [(0, 1)] for group in groups for said in group.said(Ranking))
    assert len(list(exporting.groups(site.store, project.id, adjudicated=False))) == 3

    settings = {"model.path": str(toy_folder), "batch_size": 2, "epochs": 1, "save_every": 0}
    for data in ("out.jsonl", "studio.db"):
        run = tmp_path / f"run-{data}"
        train(recipe.load("reward", settings | {"data.train": str(tmp_path / data)}), run)
        assert (run / "model" / "model.safetensors").is_file()


def test_hostile_answers_do_nothing_in_a_real_browser(site: Site, hostile: list[str]) -> None:
    project = site.store.create_project("hostile", "pair", {}, "\n\n".join(hostile), gold_share=0)
    items = [Group(Prompt.of(text), (Response.of(text), Response.of(f"{text} again"))) for text in hostile]
    site.store.add_items(project.id, items)
    page = site.enter("ann")
    page.goto(f"{site.url}/projects/{project.id}")
    page.wait_for_selector("#guidelines[open]")
    page.keyboard.press("Escape")
    for number in range(len(hostile)):
        page.keyboard.press("d")  # as a difference too
        page.keyboard.press("d")
        for link in page.locator(".task a").all():
            assert (link.get_attribute("href") or "").startswith("https://ok.example"), "no other link is a link"
        assert page.evaluate("document.body.checkVisibility()")
        # The styles of an answer stay in its box: the bar is where it was.
        assert page.locator(".bar").bounding_box()["y"] > 600
        page.keyboard.press("4")
        saved(page, number + 1)
    assert page.evaluate("window.pwned === undefined")
    assert all(url.startswith(site.url) for url in site.asked), site.asked


def test_a_megabyte_stays_usable(site: Site) -> None:
    long = "A paragraph of ten words that says *nothing* at all.\n\n" * 20_000
    project = site.store.create_project("long", "pair", gold_share=0)
    site.store.add_items(project.id, [Group(Prompt.of("?"), (Response.of(long), Response.of(long + "x")))])
    page = site.enter("ann")
    start = time.perf_counter()
    site.open(page, project.id)
    assert time.perf_counter() - start < 5
    page.locator(".rest").first.click()
    page.wait_for_selector(".part")
    page.keyboard.press("4")
    saved(page, 1)


def test_an_answer_given_while_the_server_is_away_is_kept_and_sent_later(site: Site) -> None:
    project = site.store.create_project("away", "pair", gold_share=0)
    site.store.add_items(project.id, [ITEMS["pair"](i) for i in range(5)])
    page = site.open(site.enter("ann"), project.id)
    person = site.store.person_named("ann")
    assert person
    page.wait_for_timeout(300)  # the next one has been fetched ahead
    page.route("**/api/**", lambda route: route.abort())
    before = page.locator(".prompt").inner_text()
    page.keyboard.press("1")
    page.wait_for_selector("#saved[data-state=unsaved]")
    assert page.locator("#saved").inner_text() == "1 answer not saved yet"
    assert page.locator(".prompt").inner_text() != before, "the next item is there all the same"
    assert site.store.recent(project.id, person.id) == []
    page.unroute("**/api/**")
    saved(page, 1)
    assert len(site.store.recent(project.id, person.id)) == 1
    assert (
        json.loads(
            page.evaluate(
                "localStorage.getItem(`truing:outbox:${document.querySelector('meta[name=person]').content}`)"
            )
        )
        == []
    )


def test_the_next_item_is_there_at_once(site: Site) -> None:
    project = site.store.create_project("fast", "pair", gold_share=0)
    site.store.add_items(project.id, [ITEMS["pair"](i) for i in range(12)])
    page = site.open(site.enter("ann"), project.id)
    taken = []
    for number in range(10):
        page.wait_for_timeout(200)
        taken.append(
            page.evaluate(
                """() => new Promise((done) => {
                  const before = document.querySelector(".prompt").innerText, start = performance.now();
                  dispatchEvent.call(document, new KeyboardEvent("keydown", {key: "1", bubbles: true}));
                  const look = () => document.querySelector(".prompt").innerText !== before
                    ? done(performance.now() - start) : setTimeout(look, 0);
                  look();
                })"""
            )
        )
        saved(page, number + 1)
    # 50 ms is the aim on a quiet machine.
    assert sorted(taken)[5] < 200, taken


def test_a_ranking_is_made_by_dragging(site: Site) -> None:
    project = site.store.create_project("drag", "ranking", gold_share=0).id
    site.store.add_items(project, [ITEMS["ranking"](0)])
    page = site.open(site.enter("ann"), project)

    def drag(letter: str, onto: str) -> None:
        start = page.locator(".chip", has_text=letter).bounding_box()
        end = page.locator(onto).bounding_box()
        page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        page.mouse.down()
        page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=5)
        page.mouse.up()

    drag("C", "[data-gap='0']")  # C
    drag("A", "[data-gap='0']")  # A, C
    drag("D", "[data-tier='1']")  # A, C = D
    drag("C", "[data-unranked]")  # A, D
    drag("B", "[data-gap='2']")  # A, D, B
    page.keyboard.press("Control+Enter")
    saved(page, 1)
    person = site.store.person_named("ann")
    assert person
    done = site.store.recent(project, person.id)[0]
    assert done.value is not None
    order = site.store.task(done.task_id, person.id).order
    assert [done.value["ranks"][index] for index in order] == [1, 3, None, 2]
