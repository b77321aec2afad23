"""The page on which an item is judged: by its annotator, by one who changes an answer, by a reviewer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Literal

from markupsafe import Markup
from starlette.responses import Response

from truing.studio import kinds
from truing.studio.rendering import whole
from truing.studio.store import Project
from truing.studio.web.guard import Visit
from truing.studio.web.views import SKIP_REASONS, View

__all__ = ["task_page"]


def task_page(
    visit: Visit,
    project: Project,
    view: View | None,
    *,
    mode: Literal["work", "revise", "review"],
    heading: str,
    state: Mapping[str, Any] | None = None,
    next: str | None = None,
    undo: str | None = None,
    back: str | None = None,
    progress: Mapping[str, int] | None = None,
) -> Response:
    """The page of a project with an item, or without one (`state` says why).

    `next` and `undo` are what its script asks for other items, `back` is where it goes when this one is done.
    """
    # Written by the project's owner, and as safe as everything else.
    guidelines = whole(project.guidelines) if project.guidelines.strip() else Markup("")
    boot = {
        "mode": mode,
        "project": project.id,
        "title": project.name,
        "kind": project.kind,
        "settings": kinds.get(project.kind).settings(project.settings).model_dump(mode="json"),
        "task": view.payload if view else None,
        "next": next,
        "undo": undo,
        "back": back,
        "answers": f"/projects/{project.id}/answers",
        "progress": dict(progress) if progress else None,
        "guidelines": hashlib.sha256(project.guidelines.encode()).hexdigest()[:16] if guidelines else None,
    }
    return visit.page(
        "task.html",
        project=project,
        heading=heading,
        view=view,
        state=state,
        boot=boot,
        guidelines=guidelines,
        skip_reasons=SKIP_REASONS,
    )
