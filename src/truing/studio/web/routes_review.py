"""Items on which people differ, and a sample of all others: looked at again by a reviewer, whose word is the last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from truing.studio import review
from truing.studio.errors import AnswerError
from truing.studio.review import Under
from truing.studio.store import Project, Task
from truing.studio.web.guard import Visit, action, data, page
from truing.studio.web.screen import task_page
from truing.studio.web.views import Texts, describe, view_of

__all__ = ["ROUTES"]

_SAMPLE = 20


@page("reviewer")
def overview(visit: Visit) -> Response:
    project = visit.store.project(visit.number("project"))
    disputed = [_row(project, each) for each in review.disagreements(visit.store, project.id)]
    sampled = [_row(project, each) for each in review.sample(visit.store, project.id, _SAMPLE, seed=project.seed)]
    return visit.page("review.html", project=project, disputed=disputed, sampled=sampled, here="review")


@page("reviewer")
def look(visit: Visit) -> Response:
    """One item, everything that was said of it, and the form to decide."""
    found = review.item(visit.store, visit.number("item"))
    project = visit.store.project(found.project_id)
    # Shown in the item's own order: there is no annotator's order to keep, and A is A in what everybody said.
    task = _as_task(project, found)
    paths = {
        "submit": f"/api/items/{found.item_id}/decide",
        "text": f"/api/items/{found.item_id}/text",
        "draft": None,
        "skip": None,
        "talk": None,
    }
    others: list[dict[str, Any]] = [
        {"name": s.person, "said": describe(project.kind, s.value), "comment": s.value.get("comment")}
        for s in found.said
    ]
    if found.verdict is not None:
        said = describe(project.kind, found.verdict.value)
        others.append({"name": f"Verdict ({found.verdict.person})", "said": said, "comment": None})
    draft = found.verdict.value if found.verdict else None
    view = view_of(project, task, paths=paths, draft=draft, others=others, submit_label="Decide")
    back = f"/projects/{project.id}/review"
    return task_page(visit, project, view, mode="review", heading="Review", back=back)


@page("reviewer")
def history(visit: Visit) -> Response:
    """All that happened to an item."""
    found = review.item(visit.store, visit.number("item"))
    project = visit.store.project(found.project_id)
    events = visit.store.history(found.item_id)
    return visit.page("history.html", project=project, item=found, events=events, here="review")


@action("reviewer")
def decide(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    given, key = body.get("answer"), body.get("key")
    if not isinstance(given, Mapping) or not isinstance(key, str):
        raise AnswerError("the verdict has no `answer` and `key`")
    decided = review.decide(visit.store, visit.number("item"), visit.person.id, given, key)
    return {"verdict_id": decided.verdict_id, "is_new": decided.is_new}


@data("reviewer")
def text(visit: Visit) -> Mapping[str, Any]:
    item_id = visit.number("item")
    texts = Texts(visit.store.item(item_id), f"/api/items/{item_id}/text")
    found = texts.part(visit.request.path_params["name"], visit.number("part"))
    return {"html": found.html, "next": found.more, "left": found.left}


def _row(project: Project, found: Under) -> dict[str, Any]:
    return {
        "item_id": found.item_id,
        "prompt": found.group.prompt.text[:200],
        "said": [(s.person, describe(project.kind, s.value)) for s in found.said],
        "dispute": found.dispute,
    }


def _as_task(project: Project, found: Under) -> Task:
    return Task(
        id=found.item_id,
        project_id=project.id,
        item_id=found.item_id,
        group=found.group,
        order=tuple(range(len(found.group.responses))),
        kind=project.kind,
        draft=None,
        is_qualification=False,
        opened_at=project.created_at,
        state="open",
        answer_id=None,
        answer=None,
    )


ROUTES = [
    Route("/projects/{project:int}/review", overview),
    Route("/items/{item:int}", look),
    Route("/items/{item:int}/history", history),
    Route("/api/items/{item:int}/decide", decide, methods=["POST"]),
    Route("/api/items/{item:int}/text/{name}/{part:int}", text),
]
