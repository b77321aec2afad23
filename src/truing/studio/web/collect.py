"""From a file to a project that people can open: `truing collect`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing import feedback
from truing.errors import DataError, UserError
from truing.studio import importing, kinds
from truing.studio.store import Project, Store
from truing.studio.web.candidates import generated, needed, talk_to
from truing.studio.web.guard import Talk
from truing.studio.web.routes_people import link

if TYPE_CHECKING:
    from truing.group import Group
    from truing.rollouts.sampling import Sampling

__all__ = ["Answered", "Link", "answered_by", "prepare", "sign_in_links"]


@dataclass(frozen=True, slots=True)
class Answered:
    """Who answers the prompts: models whose samples are judged (`make` gives the groups), or one that people talk to.
    Neither: the file holds the answers."""

    make: Callable[[], Iterable[Group]] | None = None
    talk: Talk | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """Somebody's personal link; None: they have one already, which nobody can look up."""

    name: str
    role: str
    url: str | None


def answered_by(models: Sequence[str], source: str, kind: str, num_samples: int | None, sampling: Sampling) -> Answered:
    """What the models named are for in a project of this kind. A model to talk to is loaded at once, others by `make`.

    `num_samples` None: as few of each model as an item takes.
    """
    if kind == "red_team":
        if not models:
            raise UserError("there is no model to talk to", where="--kind red_team", remedy="Name a --model.")
        if len(models) != 1:
            raise UserError(f"{len(models)} models to talk to", where="--model", remedy="Name one.")
        return Answered(talk=talk_to(models[0], sampling))
    if models:
        number = num_samples or needed(kind, len(models))
        return Answered(make=lambda: generated(source, kind, models, number, sampling))
    if num_samples:
        raise UserError(f"--samples {num_samples}, and nothing says of which model", remedy="Name a --model.")
    return Answered()


def prepare(
    store: Store,
    source: str,
    kind: str,
    *,
    name: str | None = None,
    settings: Mapping[str, Any] | None = None,
    guidelines: Path | None = None,
    gold: str | None = None,
    qualification: str | None = None,
    make: Callable[[], Iterable[Group]] | None = None,
    skip_bad: bool = False,
    **project_settings: Any,
) -> tuple[Project, int]:
    """The project with its items, and how many of them are new. A project of this name is gone on with: its kind stays,
    and what is in the file again is left out.

    `make` gives the groups instead of the file's own.
    """
    chosen = name or Path(source).name.split(".")[0]
    text = _text(guidelines) if guidelines else None
    found = store.project_named(chosen)
    if found is None:
        project = store.create_project(chosen, kind, settings or {}, text or "", **project_settings)
    elif found.kind != kinds.get(kind).name:
        raise UserError(
            f"project {chosen!r} is of kind `{found.kind}`, not `{kind}`",
            where=store.place,
            remedy="Give the new one another --name.",
        )
    else:
        project = found if text is None else store.update_project(found.id, guidelines=text)
    added = 0
    if qualification:
        added += importing.import_file(store, project.id, qualification, qualification=True).num_added
    if gold:
        added += importing.import_file(store, project.id, gold).num_added
    if make is not None:
        added += store.add_items(project.id, make())
    elif kind == "red_team":
        # What is there to be tried is the prompt; a file with answers is as good as one without.
        bare = (replace(group, responses=(), feedback=()) for group in feedback.read(source, skip_bad=skip_bad))
        added += store.add_items(project.id, bare)
    else:
        added += importing.import_file(store, project.id, source, skip_bad=skip_bad).num_added
    return project, added


def sign_in_links(store: Store, url: str, annotators: Sequence[str], *, renew: bool = False) -> list[Link]:
    """A link for each annotator named, and for an admin, who is made with the store. With `renew` also for those who
    have one: the old one ends."""
    wanted = [(name, "annotator") for name in annotators]
    admins = [person for person in store.people() if person.role == "admin"]
    wanted += [(person.name, "admin") for person in admins if person.name not in annotators] or [("admin", "admin")]
    links = []
    for name, role in wanted:
        person = store.person_named(name)
        if person is None:
            made, token = store.add_person(name, role)
            links.append(Link(made.name, made.role, link(url, token)))
        else:
            shown = link(url, store.new_token(person.id)) if renew else None
            links.append(Link(person.name, person.role, shown))
    return links


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(error.strerror or "it cannot be read", where=str(path), remedy="Is the path right?") from None
    except UnicodeDecodeError:
        raise DataError("it is no UTF-8 text", where=str(path), remedy="Guidelines are Markdown.") from None
