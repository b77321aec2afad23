"""The store: projects, items, people, answers, and everything that ever changed about them."""

from truing.studio.store.records import Done, Event, Feedback, Person, Project, Saved, Task
from truing.studio.store.store import Store

__all__ = ["Done", "Event", "Feedback", "Person", "Project", "Saved", "Store", "Task"]
