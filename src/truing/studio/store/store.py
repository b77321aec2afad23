"""The store: one object, many threads and processes.

    with Store.open("studio.db") as store:
        project = store.create_project("helpful", "pair", {})
        store.add_items(project.id, feedback.read("pairs.jsonl"))
        ann, token = store.add_person("ann")
        task = store.next_task(project.id, ann.id)
        store.submit(task.id, ann.id, {"choice": "first"}, key="made by the browser", seconds=12.5)

A method that returns has committed, and what is committed is on the disk. A method that raises has changed nothing.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, Select, bindparam, func, insert, select, text, update

from truing.errors import DataError
from truing.group import Group
from truing.studio import answers, assignment, kinds, people
from truing.studio.errors import AnswerError, StoreError
from truing.studio.kinds import Kind
from truing.studio.store import engine as engines
from truing.studio.store import events
from truing.studio.store.columns import now
from truing.studio.store.groups import GroupCache, as_json, digest, from_json
from truing.studio.store.records import Done, Event, Person, Project, Saved, Task
from truing.studio.store.tables import Answers, Items, Members, Projects, Tasks

__all__ = ["Gold", "Located", "Store"]

T = TypeVar("T")
Gold = Mapping[str, Any]
"""A known answer in the JSON of the project's kind, and optionally `reason`: why it is right."""
Located = tuple[str, Group, Gold | None]
"""Where it stands, the item, its known answer."""

_TRIES = 8
_CHUNK = 500
_PROJECT = tuple(getattr(Projects, name) for name in Project.__dataclass_fields__)
_CATEGORY = ("category", "subset", "task", "type")
"""Columns whose text is taken for an item's category."""

_TASK = (
    select(
        Tasks.id,
        Tasks.project_id,
        Tasks.item_id,
        Tasks.order,
        Projects.kind,
        Tasks.draft,
        Tasks.role,
        Tasks.opened_at,
        Tasks.state,
        Answers.id.label("answer_id"),
        Answers.value,
    )
    .join(Projects, Projects.id == Tasks.project_id)
    .outerjoin(Answers, Answers.task_id == Tasks.id)
    .where(Tasks.id == bindparam("task"), Tasks.person_id == bindparam("person"))
)
# What an answer is checked against.
_FORM_OF_TASK = (
    select(Tasks.item_id, Projects.kind, Projects.settings)
    .join(Projects, Projects.id == Tasks.project_id)
    .where(Tasks.id == bindparam("number"), Tasks.person_id == bindparam("person"))
)
_FORM_OF_ANSWER = (
    select(Answers.item_id, Projects.kind, Projects.settings)
    .join(Projects, Projects.id == Answers.project_id)
    .where(Answers.id == bindparam("number"), Answers.person_id == bindparam("person"))
)
_LOOK_EVERY = timedelta(seconds=1)


class Store:
    """All that the studio knows. `clock` gives the time, for tests that cannot wait half an hour."""

    def __init__(self, engine: Engine, clock: Callable[[], datetime] = now) -> None:
        self._engine = engine
        self._writing = engine.execution_options(**{engines.WRITES: True})
        # SQLite has one writer; inside this process they queue here, in order and without sleeping.
        self._turn = threading.Lock() if engine.dialect.name == "sqlite" else None
        self._looked: dict[int, datetime] = {}
        self.groups = GroupCache()
        self.clock = clock
        self.place = engines.place(engine.url)

    @classmethod
    def open(cls, source: str | Path, *, create: bool = True, clock: Callable[[], datetime] = now) -> Store:
        """Open a file of SQLite's or the URL of a data base; make the tables, or bring them to this version.

        `StoreError`: it is something else, it was written by a newer Truing, or (without `create`) it is not there.
        """
        engine = engines.connect(engines.url_of(source), create=create)
        try:
            engines.migrate(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine, clock)

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ── transactions ─────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that reads: in SQLite, one moment of the store however long it lasts."""
        with engines.translated(self.place), self._engine.connect() as conn, conn.begin():
            yield conn

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction that writes: on the disk when the block has ended, undone where it raises."""
        with self._turn or nullcontext(), engines.translated(self.place), self._writing.connect() as conn, conn.begin():
            yield conn

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a writing transaction; again, where another transaction got in its way."""
        for attempt in range(_TRIES):
            try:
                with self.writing() as conn:
                    return work(conn)
            except Exception as error:
                cause = error.__cause__ if isinstance(error, StoreError) else error
                if attempt == _TRIES - 1 or not (isinstance(cause, Exception) and engines.is_transient(cause)):
                    raise
        raise AssertionError("the last try returns or raises")

    # ── projects ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def create_project(
        self,
        name: str,
        kind: str,
        settings: Mapping[str, Any] | None = None,
        guidelines: str = "",
        *,
        overlap_share: float = 0.10,
        overlap: int = 2,
        gold_share: float = 0.05,
        pause_below: float = 0.6,
        qualification_pass: float = 0.7,
        minutes_to_return: float = 30,
        wage: float | None = None,
        seed: int = 0,
        by: int | None = None,
    ) -> Project:
        """A new project. `settings` are those of its kind."""
        at = self.clock()
        project = _checked(
            Project(
                0,
                name.strip(),
                kind,
                dict(settings or {}),
                guidelines,
                overlap_share,
                overlap,
                gold_share,
                pause_below,
                qualification_pass,
                minutes_to_return,
                wage,
                seed,
                at,
            )
        )
        row = {name: value for name, value in asdict(project).items() if name != "id"}

        def work(conn: Connection) -> Project:
            if conn.execute(select(Projects.id).where(Projects.name == project.name)).first() is not None:
                raise AnswerError(f"there is already a project {project.name!r}", remedy="Choose another name.")
            key = conn.execute(insert(Projects).values(row)).inserted_primary_key
            assert key is not None
            made = replace(project, id=int(key[0]))
            events.record(conn, "project_created", at, person_id=by, project_id=made.id, after=_told(made))
            return made

        return self.write(work)

    def update_project(self, project_id: int, *, by: int | None = None, **changes: Any) -> Project:
        """Change what can be changed of a project; not its kind. A new overlap counts for items added later."""
        at = self.clock()
        fixed = [name for name in changes if name in ("id", "kind", "created_at") or name not in _FIELDS]
        if fixed:
            raise AnswerError(f"`{fixed[0]}` of a project cannot be changed")

        def work(conn: Connection) -> Project:
            before = self._project(conn, project_id)
            after = _checked(replace(before, **changes))
            conn.execute(
                update(Projects).where(Projects.id == project_id).values(**{n: getattr(after, n) for n in changes})
            )
            told, now_told = _told(before), _told(after)
            differing = [name for name in told if told[name] != now_told[name]]
            events.record(
                conn,
                "project_changed",
                at,
                person_id=by,
                project_id=project_id,
                before={n: told[n] for n in differing},
                after={n: now_told[n] for n in differing},
            )
            return after

        return self.write(work)

    def projects(self) -> list[Project]:
        """All projects, in order of creation."""
        with self.reading() as conn:
            return [Project(*row) for row in conn.execute(select(*_PROJECT).order_by(Projects.id))]

    def project(self, project_id: int) -> Project:
        """The project of this number."""
        with self.reading() as conn:
            return self._project(conn, project_id)

    def project_named(self, name: str) -> Project | None:
        """The project of this name."""
        with self.reading() as conn:
            row = conn.execute(select(*_PROJECT).where(Projects.name == name)).first()
            return None if row is None else Project(*row)

    @staticmethod
    def _project(conn: Connection, project_id: int) -> Project:
        row = conn.execute(select(*_PROJECT).where(Projects.id == project_id)).first()
        if row is None:
            raise AnswerError(f"there is no project {project_id}")
        return Project(*row)

    # ── items ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_items(
        self,
        project_id: int,
        groups: Iterable[Group],
        gold: Iterable[Gold | None] | None = None,
        qualification: bool = False,
        *,
        by: int | None = None,
    ) -> int:
        """Add groups to be judged and say how many are new: the same prompt and responses again are left out.

        `gold` gives for each group its known answer, or None. With `qualification` they are the test that comes first;
        all of them need a known answer then. Committed 500 at a time, so that labelling goes on: after an error the
        rest can be added by doing it again.
        """
        known = iter(()) if gold is None else iter(gold)
        located = ((f"item {number}", group, next(known, None)) for number, group in enumerate(groups, 1))
        return self.add_located(project_id, located, qualification, by=by)

    def add_located(
        self, project_id: int, found: Iterable[Located], qualification: bool = False, *, by: int | None = None
    ) -> int:
        """`add_items`, where each comes with the place that an error names."""
        project = self.project(project_id)
        kind = kinds.get(project.kind)
        settings = kind.settings(project.settings)
        rows = _rows(found, qualification, kind, settings)
        number = 0
        while chunk := list(islice(rows, _CHUNK)):
            number += self.write(lambda conn, chunk=chunk: self._add(conn, project_id, chunk, by))  # type: ignore[misc]
        return number

    def _add(self, conn: Connection, project_id: int, chunk: list[dict[str, Any]], by: int | None) -> int:
        # Held, so that two who add at once do not give the same positions.
        project = conn.execute(
            select(Projects.seed, Projects.overlap, Projects.overlap_share)
            .where(Projects.id == project_id)
            .with_for_update(key_share=True)
        ).one()
        hashes = [row["hash"] for row in chunk]
        seen = set(
            conn.execute(select(Items.hash).where(Items.project_id == project_id, Items.hash.in_(hashes))).scalars()
        )
        last = conn.execute(select(func.max(Items.position)).where(Items.project_id == project_id)).scalar()
        position = -1 if last is None else last
        new = []
        for row in chunk:
            if row["hash"] in seen:
                continue
            seen.add(row["hash"])
            position += 1
            twice = assignment.drawn(f"overlap:{project.seed}:{project_id}", project.overlap_share, position)
            wanted = project.overlap if twice else 1
            new.append({**row, "project_id": project_id, "position": position, "wanted": wanted, "missing": wanted})
        if new:
            conn.execute(insert(Items), new)
            after = {"items": len(new), "first_position": position - len(new) + 1}
            events.record(conn, "items_added", self.clock(), person_id=by, project_id=project_id, after=after)
        return len(new)

    def item(self, item_id: int) -> Group:
        """An item's group."""
        with self.reading() as conn:
            return self.groups.get(conn, item_id)

    def num_items(self, project_id: int) -> dict[str, int]:
        """How many items of each role: work, gold, qualification."""
        with self.reading() as conn:
            counted = (
                select(Items.role, func.count().label("number"))
                .where(Items.project_id == project_id)
                .group_by(Items.role)
            )
            return {row.role: row.number for row in conn.execute(counted)}

    # ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def add_person(self, name: str, role: str = "annotator", *, by: int | None = None) -> tuple[Person, str]:
        """A new person and the token of their personal link: this is the only time that it can be read."""
        return self.write(lambda conn: people.add(conn, name, role, self.clock(), by))

    def people(self) -> list[Person]:
        """Everybody, in order of arrival."""
        with self.reading() as conn:
            return people.everybody(conn)

    def person(self, person_id: int) -> Person:
        """The person of this number."""
        with self.reading() as conn:
            return people.get(conn, person_id)

    def person_named(self, name: str) -> Person | None:
        """The person of this name."""
        with self.reading() as conn:
            return people.named(conn, name)

    def person_by_token(self, token: str) -> Person | None:
        """Whose link it is."""
        with self.reading() as conn:
            return people.by_token(conn, token)

    def new_token(self, person_id: int, *, by: int | None = None) -> str:
        """A new personal link; the old one ends."""
        return self.write(lambda conn: people.new_token(conn, person_id, self.clock(), by))

    def set_role(self, person_id: int, role: str, *, by: int | None = None) -> None:
        """Make somebody an annotator, a reviewer or an admin."""
        self.write(lambda conn: people.set_role(conn, person_id, role, self.clock(), by))

    def pause(self, person_id: int, why: str, *, by: int | None = None) -> None:
        """No more tasks for this person; what they have open goes back to the others."""

        def work(conn: Connection) -> None:
            at = self.clock()
            people.pause(conn, person_id, why, at, by)
            mine = select(Tasks.project_id).where(Tasks.person_id == person_id, Tasks.state == "open").distinct()
            for project_id in conn.execute(mine).scalars().all():
                assignment.return_abandoned(conn, project_id, at, person_id=person_id)

        self.write(work)

    def resume(self, person_id: int, *, by: int | None = None) -> None:
        """Let somebody work again: paused by a person or by their gold score, or failed in the test."""
        self.write(lambda conn: people.resume(conn, person_id, self.clock(), by))

    def member_state(self, project_id: int, person_id: int) -> str:
        """`new`, `qualifying`, `working`, `failed` or `paused` (in this project)."""
        with self.reading() as conn:
            found = select(Members.state).where(Members.project_id == project_id, Members.person_id == person_id)
            return conn.execute(found).scalar() or "new"

    # ── labelling ────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_task(self, project_id: int, person_id: int, besides: Collection[int] = ()) -> Task | None:
        """What this person does next: the task that they have open, or a new one. None: `why_none` says why.

        Tasks in `besides` are on the screen already: what comes after them is asked for."""
        at = self.clock()
        self._take_back(project_id, at)

        def work(conn: Connection) -> Task | None:
            task_id = assignment.next_task(conn, project_id, person_id, at, besides)
            return None if task_id is None else self._task(conn, task_id, person_id)

        return self.write(work)

    def _take_back(self, project_id: int, at: datetime) -> None:
        """Before anything is given, once a second: what others abandoned. A transaction of its own, so that it holds
        nobody up."""
        looked = self._looked.get(project_id)
        if looked is not None and abs(at - looked) < _LOOK_EVERY:
            return
        self._looked[project_id] = at
        with self.reading() as conn:
            found = assignment.any_abandoned(conn, project_id, at)
        if found:
            self.write(lambda conn: assignment.return_abandoned(conn, project_id, at))

    def why_none(self, project_id: int, person_id: int) -> str:
        """`done`, `waiting` (others hold the last items; they may come back), `paused`, or `not_qualified`."""
        with self.reading() as conn:
            return assignment.why_none(conn, project_id, person_id)

    def task(self, task_id: int, person_id: int) -> Task:
        """A task of this person's."""
        with self.reading() as conn:
            return self._task(conn, task_id, person_id)

    def _task(self, conn: Connection, task_id: int, person_id: int) -> Task:
        row = conn.execute(_TASK, {"task": task_id, "person": person_id}).first()
        if row is None:
            raise AnswerError(f"task {task_id} is not yours", remedy="Ask for the next one.")
        group = self.groups.get(conn, row.item_id)
        # What was said about it before (in an imported file) is nothing that an annotator should see.
        return Task(
            row.id,
            row.project_id,
            row.item_id,
            replace(group, feedback=()),
            tuple(row.order),
            row.kind,
            row.draft,
            row.role == "qualification",
            row.opened_at,
            row.state,
            row.answer_id,
            row.value,
        )

    def save_draft(self, task_id: int, person_id: int, value: Mapping[str, Any]) -> bool:
        """Keep what is written so far; False where it came after the answer and was not kept."""
        return self.write(lambda conn: answers.save_draft(conn, task_id, person_id, value, self.clock()))

    def submit(self, task_id: int, person_id: int, answer: Mapping[str, Any], key: str, seconds: float) -> Saved:
        """Save an answer (in the item's own order of responses). When it returns, the answer is on the disk.

        `key` is made by the sender, once for each submission: sent again after a lost reply, it saves nothing twice.
        """
        form = self._form(_FORM_OF_TASK, task_id, person_id)
        if form is None:
            raise AnswerError(f"task {task_id} is not yours", remedy="Ask for the next one.")
        return self.write(
            lambda conn: answers.submit(conn, task_id, person_id, answer, key, seconds, form, self.clock())
        )

    def skip(self, task_id: int, person_id: int, reason: str = "") -> None:
        """The item goes to somebody else, and not to this person again."""
        self.write(lambda conn: answers.skip(conn, task_id, person_id, reason, self.clock()))

    def undo(self, person_id: int, project_id: int) -> Task | None:
        """Take back the last answer or skip; the task is open again with the answer as its draft."""

        def work(conn: Connection) -> Task | None:
            task_id = answers.undo(conn, person_id, project_id, self.clock())
            return None if task_id is None else self._task(conn, task_id, person_id)

        return self.write(work)

    def revise(self, answer_id: int, person_id: int, answer: Mapping[str, Any], key: str) -> Saved:
        """Change one's own answer that stands."""
        form = self._form(_FORM_OF_ANSWER, answer_id, person_id)
        if form is None:
            raise AnswerError(f"answer {answer_id} is not yours")
        return self.write(lambda conn: answers.revise(conn, answer_id, person_id, answer, key, form, self.clock()))

    def _form(self, query: Select[Any], number: int, person_id: int) -> answers.Form | None:
        """What an answer is checked against. Neither kind nor group of an item ever change: read before its turn."""
        with self.reading() as conn:
            row = conn.execute(query, {"number": number, "person": person_id}).first()
            if row is None:
                return None
            return answers.Form.of(row.kind, row.settings, self.groups.get(conn, row.item_id))

    def recent(self, project_id: int, person_id: int, limit: int = 50) -> list[Done]:
        """What this person answered or skipped, newest first."""
        with self.reading() as conn:
            rows = answers.recent(conn, project_id, person_id, limit)
            return [answers.done(row, self.groups.get(conn, row.item_id)) for row in rows]

    def progress(self, project_id: int, person_id: int) -> tuple[int, int]:
        """(items that this person answered, answers that the project still needs)."""
        with self.reading() as conn:
            mine = (Tasks.project_id == project_id, Tasks.person_id == person_id, Tasks.state == "answered")
            done = conn.execute(select(func.count()).select_from(Tasks).where(*mine)).scalar_one()
            # Only seats that are free: an item may have an answer more than it wants, and that makes up for no other.
            left = select(func.coalesce(func.sum(Items.missing), 0)).where(Items.project_id == project_id)
            free = conn.execute(left.where(text(assignment.FREE))).scalar_one()
            held = (Tasks.project_id == project_id, text("tasks.state = 'open'"), Tasks.role == "work")
            num_held = conn.execute(select(func.count()).select_from(Tasks).where(*held)).scalar_one()
            return int(done), int(free) + int(num_held)

    # ── history ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, item_id: int) -> list[Event]:
        """All that happened to an item, oldest first."""
        with self.reading() as conn:
            return events.history(conn, item_id)

    def latest_events(self, project_id: int | None, limit: int = 100) -> list[Event]:
        """The last changes of a project (None: of the people), newest first."""
        with self.reading() as conn:
            return events.latest(conn, project_id, limit)


# ── what a project and an item must be ───────────────────────────────────────────────────────────────────────────────

_FIELDS = frozenset(Project.__dataclass_fields__)


def _told(project: Project) -> dict[str, Any]:
    """A project as an event tells it."""
    return {name: value for name, value in asdict(project).items() if name not in ("id", "created_at")}


def _checked(project: Project) -> Project:
    """The project with its settings filled in, or `AnswerError`."""
    where = f"project {project.name!r}"
    if not project.name or len(project.name) > 100 or not project.name.isprintable() or "#" in project.name:
        raise AnswerError(f"the name {project.name[:40]!r}", remedy="1 to 100 printable characters, and no #.")
    shares = ("overlap_share", "gold_share", "pause_below", "qualification_pass")
    for name in shares:
        if not 0 <= getattr(project, name) <= 1:
            raise AnswerError(f"`{name}` is {getattr(project, name)}", where=where, remedy="A share, 0 to 1.")
    if project.overlap < 1:
        raise AnswerError(f"`overlap` is {project.overlap}", where=where, remedy="How many people judge an item.")
    if not 0 < project.minutes_to_return <= 1e6:
        raise AnswerError(f"`minutes_to_return` is {project.minutes_to_return}", where=where, remedy="Above 0.")
    if project.wage is not None and not 0 <= project.wage < 1e9:
        raise AnswerError(f"`wage` is {project.wage}", where=where, remedy="Money per hour, or none.")
    if not -(2**31) <= project.seed < 2**31:
        raise AnswerError(f"`seed` is {project.seed}", where=where, remedy="A whole number of 32 bits.")
    if "\0" in project.guidelines:
        raise AnswerError("the guidelines hold a NUL character", where=where, remedy="Is it a text file?")
    kind = kinds.get(project.kind)
    return replace(project, settings=kind.settings(project.settings).model_dump(mode="json"))


def _rows(found: Iterable[Located], qualification: bool, kind: Kind[Any], settings: Any) -> Iterator[dict[str, Any]]:
    """Items as rows, checked one by one."""
    for where, group, answer in found:
        try:
            kind.check_group(group)
            value = as_json(group)
            json.dumps(value, allow_nan=False)
        except AnswerError as error:
            raise DataError(error.found, where=where, remedy=error.remedy) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise DataError(f"it is not JSON ({error})", where=where, remedy="Drop or change its columns.") from None
        from_json(value, where)
        if qualification and answer is None:
            raise DataError("it has no known answer", where=where, remedy="Every item of a test needs one (`gold`).")
        yield {
            "role": "work" if answer is None else "qualification" if qualification else "gold",
            "hash": digest(value),
            "group": value,
            "num_responses": len(group.responses),
            "lengths": [len(response.text) for response in group.responses],
            "category": category(group),
            "gold": None if answer is None else _known(answer, group, kind, settings, where),
            "num_answers": 0,
            "dispute": None,
        }


def _known(answer: Gold, group: Group, kind: Kind[Any], settings: Any, where: str) -> dict[str, Any]:
    if not kind.gold:
        raise DataError(
            f"kind `{kind.name}` has no answers that can be known", where=where, remedy="Leave the column `gold` out."
        )
    reason = answer.get("reason")
    if reason is not None and not isinstance(reason, str):
        raise DataError("the `reason` of its known answer is no text", where=where)
    try:
        checked = kind.check({k: v for k, v in answer.items() if k != "reason"}, group, settings)
    except AnswerError as error:
        raise DataError(f"its known answer: {error.found}", where=where, remedy=error.remedy) from None
    return {"answer": checked, "reason": reason}


def category(group: Group) -> str | None:
    """The text in the first of the columns `category`, `subset`, `task`, `type` that has some."""
    for name in _CATEGORY:
        value = group.columns.get(name)
        if isinstance(value, str) and value.strip():
            return value.replace("\0", "").strip()[:200]
    return None
