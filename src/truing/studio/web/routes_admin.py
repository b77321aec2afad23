"""What an admin sees: the live numbers, coverage, and files to take away at any time."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from truing.feedback.agreement.report import Agreement
from truing.studio import coverage, exporting, quality
from truing.studio.web import routes_people
from truing.studio.web.guard import Visit, page

__all__ = ["ROUTES"]

_COEFFICIENTS = {
    "percent": "Same answer",
    "cohen": "Cohen's κ",
    "fleiss": "Fleiss' κ",
    "alpha_nominal": "Krippendorff's α, nominal",
    "alpha_ordinal": "Krippendorff's α, ordinal",
    "alpha_interval": "Krippendorff's α, interval",
}


@page("admin")
def dashboard(visit: Visit) -> Response:
    project = visit.store.project(visit.number("project"))
    found = quality.summary(visit.store, project.id)
    return visit.page(
        "dashboard.html",
        project=project,
        summary=found,
        headline=_headline(found.agreement),
        questions=[_question(each) for each in found.agreement],
        targets=list(dict.fromkeys(exporting.targets())),
        here="dashboard",
    )


@page("admin")
def coverage_page(visit: Visit) -> Response:
    """On a page of its own: it takes a second for thousands of items."""
    project = visit.store.project(visit.number("project"))
    found = coverage.coverage(visit.store, project.id)
    return visit.page("coverage.html", project=project, coverage=found, here="dashboard")


@page("admin")
def export(visit: Visit) -> Response:
    project = visit.store.project(visit.number("project"))
    target = str(visit.request.path_params["target"])
    raw = visit.request.query_params.get("raw") == "1"
    folder = tempfile.TemporaryDirectory(prefix="truing-export-")
    try:
        path = Path(folder.name) / "export.jsonl"
        exporting.write(visit.store, project.id, target, path, adjudicated=not raw)
    except BaseException:
        folder.cleanup()
        raise
    name = f"{''.join(c if c.isalnum() else '-' for c in project.name)}.{target}.jsonl"
    after = BackgroundTask(folder.cleanup)
    return FileResponse(path, filename=name, media_type="application/x-ndjson", background=after)


def _headline(questions: tuple[Agreement, ...]) -> dict[str, Any] | None:
    """The question that agrees least: the target is met when it is."""
    judged = [q for q in questions if not math.isnan(q.overall[q.headline].value)]
    if not judged:
        return None
    worst = min(judged, key=lambda q: q.overall[q.headline].value)
    return {"name": _COEFFICIENTS.get(worst.headline, worst.headline), "value": worst.overall[worst.headline]}


def _question(question: Agreement) -> dict[str, Any]:
    rows = [
        {
            "name": _COEFFICIENTS.get(name, name),
            "value": found,
            # A coefficient of −0.2 or less is drawn at the edge.
            "x": [_x(v) for v in (found.low, found.value, found.high)],
            "is_headline": name == question.headline,
        }
        for name, found in question.overall.items()
        if not math.isnan(found.value)
    ]
    return {"name": question.name, "shared": question.num_shared, "rows": rows}


def _x(value: float) -> float:
    """Where a coefficient stands on an axis of −0.2..1 that is 240 wide."""
    return round(240 * (min(1.0, max(-0.2, value)) + 0.2) / 1.2, 1) if math.isfinite(value) else 0.0


ROUTES = [
    Route("/projects/{project:int}/dashboard", dashboard),
    Route("/projects/{project:int}/coverage", coverage_page),
    Route("/projects/{project:int}/export/{target}", export),
    *routes_people.ROUTES,
]
