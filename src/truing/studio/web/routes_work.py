"""The labelling screen and what its script asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from truing.errors import UserError
from truing.group import Message
from truing.studio import kinds
from truing.studio.errors import AnswerError
from truing.studio.rendering import whole
from truing.studio.store import Project, Task
from truing.studio.web.guard import Visit, action, data, page
from truing.studio.web.orders import to_stored
from truing.studio.web.screen import task_page
from truing.studio.web.views import Texts, View, describe, view_of

__all__ = ["ROUTES"]

_MAX_TURNS = 200
_MAX_AHEAD = 20
_STATES = {
    "done": ("All done", "There is nothing left for you here. Thank you."),
    "waiting": ("Nothing to do right now", "Others hold the last items. If one comes back, it will be here."),
    "paused": ("Your work is paused", "Somebody will look at it with you. Your answers so far are kept."),
    "not_qualified": (
        "The test was not passed",
        "These items need another reading of the guidelines. Thank you for trying.",
    ),
}


@page("annotator")
def start(visit: Visit) -> Response:
    projects = visit.store.projects()
    if len(projects) == 1 and visit.person.role == "annotator":
        return RedirectResponse(f"/projects/{projects[0].id}", 303)
    rows = [(p, kinds.get(p.kind).title, sum(visit.store.num_items(p.id).values())) for p in projects]
    return visit.page("projects.html", rows=rows)


@page("annotator")
def work(visit: Visit) -> Response:
    project = visit.store.project(visit.number("project"))
    task = visit.store.next_task(project.id, visit.person.id)
    base = f"/api/projects/{project.id}"
    return task_page(
        visit,
        project,
        _work_view(project, task) if task else None,
        mode="work",
        heading=project.name,
        state=None if task else _state(visit, project),
        next=f"{base}/next",
        undo=f"{base}/undo",
        progress=_progress(visit, project),
    )


@page("annotator")
def look_back(visit: Visit) -> Response:
    """An own answer, to be changed."""
    task = visit.store.task(visit.number("task"), visit.person.id)
    project = visit.store.project(task.project_id)
    if task.answer is None or task.state != "answered" or task.is_qualification:
        raise AnswerError(
            "this answer cannot be changed", remedy="Answers to test items and skipped items stay as they are."
        )
    paths = _paths(project, task) | {"skip": None, "draft": None}
    view = view_of(project, task, paths=paths, draft=task.answer, submit_label="Save")
    back = f"/projects/{project.id}/answers"
    return task_page(visit, project, view, mode="revise", heading="Edit an answer", back=back)


@page("annotator")
def my_answers(visit: Visit) -> Response:
    project = visit.store.project(visit.number("project"))
    rows = [
        (done, "Skipped" if done.value is None else describe(project.kind, done.value, _order(visit, done.task_id)))
        for done in visit.store.recent(project.id, visit.person.id, limit=100)
    ]
    return visit.page("answers.html", project=project, rows=rows, here="answers")


@data("annotator")
def next_task(visit: Visit) -> Mapping[str, Any]:
    project = visit.store.project(visit.number("project"))
    besides = visit.request.query_params.get("besides", "").split(",")
    known = {int(each) for each in besides[:_MAX_AHEAD] if each.isascii() and each.isdigit() and len(each) < 10}
    task = visit.store.next_task(project.id, visit.person.id, besides=known)
    if task is None:
        state = _state(visit, project)
        progress = _progress(visit, project)
        return {
            "state": state["name"],
            "html": visit.studio.pages.text("_state.html", state=state),
            "progress": progress,
        }
    return {"task": _sent(visit, project, task)}


@action("annotator")
def undo(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    project = visit.store.project(visit.number("project"))
    task = visit.store.undo(visit.person.id, project.id)
    return {"task": _sent(visit, project, task) if task else None}


@action("annotator")
def answer(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Stores an answer; the same `key` again stores nothing again."""
    task = visit.store.task(visit.number("task"), visit.person.id)
    given, key, seconds = body.get("answer"), body.get("key"), body.get("seconds")
    if not isinstance(given, Mapping) or not isinstance(key, str):
        raise AnswerError("the answer has no `answer` and `key`")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise AnswerError(f"`seconds` is {seconds!r}", remedy="A number.")
    saved = visit.store.submit(task.id, visit.person.id, to_stored(given, task.order), key, float(seconds))
    said: dict[str, Any] = {"answer_id": saved.answer_id, "is_new": saved.is_new}
    if saved.feedback is not None:
        right = saved.feedback.score >= 1
        known = describe(task.kind, saved.feedback.gold, task.order)
        reason = f" {saved.feedback.reason}" if saved.feedback.reason else ""
        said |= {"note": f"Right.{reason}" if right else f"Expected: {known}.{reason}", "bad": not right}
    return said


@action("annotator")
def draft(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    task = visit.store.task(visit.number("task"), visit.person.id)
    value = body.get("value")
    if not isinstance(value, Mapping):
        raise AnswerError("the draft has no `value`")
    return {"kept": visit.store.save_draft(task.id, visit.person.id, to_stored(value, task.order))}


@action("annotator")
def skip(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    reason = body.get("reason")
    visit.store.skip(visit.number("task"), visit.person.id, reason if isinstance(reason, str) else "")
    return {}


@action("annotator")
def talk(visit: Visit, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The model's next turn."""
    visit.store.task(visit.number("task"), visit.person.id)
    if visit.studio.talk is None:
        raise UserError("there is no model to talk to", remedy="Start with --model.")
    said = visit.studio.talk(_conversation(body.get("turns")))
    return {"content": said, "html": whole(said)}


@data("annotator")
def text(visit: Visit) -> Mapping[str, Any]:
    """A later part of a long text."""
    task = visit.store.task(visit.number("task"), visit.person.id)
    found = Texts(task.group, f"/api/tasks/{task.id}/text").part(
        visit.request.path_params["name"], visit.number("part")
    )
    return {"html": found.html, "next": found.more, "left": found.left}


def _paths(project: Project, task: Task) -> dict[str, str | None]:
    base = f"/api/tasks/{task.id}"
    return {
        "submit": f"{base}/answer",
        "draft": f"{base}/draft",
        "skip": f"{base}/skip",
        "talk": f"{base}/talk" if project.kind == "red_team" else None,
        "text": f"{base}/text",
    }


def _work_view(project: Project, task: Task) -> View:
    return view_of(project, task, paths=_paths(project, task), draft=task.draft)


def _sent(visit: Visit, project: Project, task: Task) -> dict[str, Any]:
    view = _work_view(project, task)
    return view.payload | {"html": visit.studio.pages.text("_task.html", view=view)}


def _order(visit: Visit, task_id: int) -> tuple[int, ...]:
    return visit.store.task(task_id, visit.person.id).order


def _progress(visit: Visit, project: Project) -> dict[str, int]:
    done, left = visit.store.progress(project.id, visit.person.id)
    return {"done": done, "total": done + left}


def _state(visit: Visit, project: Project) -> dict[str, Any]:
    name = visit.store.why_none(project.id, visit.person.id)
    title, said = _STATES[name]
    links = [(f"/projects/{project.id}/answers", "My answers")]
    if visit.person.role != "annotator":
        links.append((f"/projects/{project.id}/review", "Review"))
    if visit.person.role == "admin":
        links.append((f"/projects/{project.id}/dashboard", "Dashboard"))
    return {"name": name, "title": title, "text": said, "links": links}


def _conversation(turns: Any) -> list[Message]:
    if not isinstance(turns, list) or not 0 < len(turns) <= _MAX_TURNS:
        raise AnswerError("there is no conversation", remedy=f"1 to {_MAX_TURNS} turns.")
    said = []
    for number, turn in enumerate(turns):
        role = ("user", "assistant")[number % 2]
        if not isinstance(turn, Mapping) or turn.get("role") != role or not isinstance(turn.get("content"), str):
            raise AnswerError("the turns do not alternate, you first")
        said.append(Message(role, turn["content"]))
    if said[-1].role != "user":
        raise AnswerError("it is your turn")
    return said


ROUTES = [
    Route("/", start),
    Route("/projects/{project:int}", work),
    Route("/projects/{project:int}/answers", my_answers),
    Route("/tasks/{task:int}", look_back),
    Route("/api/projects/{project:int}/next", next_task),
    Route("/api/projects/{project:int}/undo", undo, methods=["POST"]),
    Route("/api/tasks/{task:int}/answer", answer, methods=["POST"]),
    Route("/api/tasks/{task:int}/draft", draft, methods=["POST"]),
    Route("/api/tasks/{task:int}/skip", skip, methods=["POST"]),
    Route("/api/tasks/{task:int}/talk", talk, methods=["POST"]),
    Route("/api/tasks/{task:int}/text/{name}/{part:int}", text),
]
