"""How long work looks while it is going on: a live bar on a terminal, a plain line now and then anywhere else.

    with Progress("dpo → runs/dpo", results="runs/dpo") as progress:
        train(recipe, out, watch=progress.step)

Speed and time left are measured from the first report on, so that neither loading a model nor the steps of an earlier
process count.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.table import Column

__all__ = ["Progress", "StepLike", "chosen", "duration"]

SHOWN = {
    "loss": "loss",
    "perplexity": "perplexity",
    "rewards/accuracies": "accuracy",
    "reward": "reward",
    "kl": "kl",
    "tokens_per_second": "tokens/s",
}
"""Of all that a run records, what is worth a glance, in order, and the word for it."""


class StepLike(Protocol):
    """What `truing.train.loop` yields: step `number` of `total`, counted from 1, and its metrics."""

    @property
    def number(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...


class Progress:
    """Shows work of `total` steps, or whatever the `unit` is (None: not known before the first step reports it).

    On a pipe, in a log or in CI there is a line for the first step, then one every `every` seconds. At the end, and
    when the work breaks off, a last line says how far it came and, with `results`, where they are.
    """

    def __init__(
        self,
        what: str,
        total: int | None = None,
        *,
        unit: str = "step",
        results: object = None,
        every: float = 5.0,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.what, self.total, self.unit, self.results = what, total, unit, results
        # stderr: what a verb prints to stdout may be piped into something.
        self.console = Console(stderr=True) if console is None else console
        self._every, self._clock = every, clock
        self._done = 0
        self._metrics: dict[str, float] = {}
        self._first: tuple[int, float] | None = None
        self._next_line = self._next_stage = -math.inf
        self._stage = ""
        self._live: Bar | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        self._began = self._clock()
        if self.console.is_interactive:
            self._live = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True)),
                console=self.console,
                transient=True,
                refresh_per_second=5,
            )
            self._task = self._live.add_task(self.what, total=self.total, state="")
            self._live.start()
        return self

    def step(self, step: StepLike) -> None:
        """A step is done."""
        self.update(step.number, step.metrics, total=step.total)

    def update(self, done: int, metrics: Mapping[str, float] | None = None, *, total: int | None = None) -> None:
        """`done` steps are done, counted from 1; what `metrics` leaves out keeps its last value on show."""
        now = self._clock()
        if self._first is None:
            self._first = done, now
        self._done, self.total = done, self.total if total is None else total
        self._metrics |= metrics or {}
        if self._live is not None:
            self._live.update(self._task, completed=done, total=self.total, state=self._state(now))
        elif now >= self._next_line:
            self._next_line = now + self._every
            self._print(f"{self.what}  {self._state(now)}")

    def stage(self, what: str, detail: str = "") -> None:
        """What is being done before the first step or after the last, and how far it is: at once where it is another
        stage than before, then as often as steps are shown."""
        text = f"{what}: {detail}" if detail else what
        if self._live is not None:
            self._live.update(self._task, state=text)
        elif what != self._stage or self._clock() >= self._next_stage:
            self._stage, self._next_stage = what, self._clock() + self._every
            self._print(f"{self.what}  {text}")

    def note(self, text: str) -> None:
        """A line of its own, above the bar."""
        self._print(text)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if not self._done:
            return  # nothing was left to do, or it came nowhere: the note, or the error that follows, says it all
        steps = f"{self._done} {self.unit}s" if kind is None else f"{self.unit} {self._done}"
        if kind is not None and self.total is not None:
            steps += f" of {self.total}"
        said = [f"{self.what}  {'done' if kind is None else 'stopped'}: {steps} in {self._took()}"]
        said += chosen(self._metrics)
        self._print("  ".join(said))
        if self.results is not None:
            self._print(f"results: {self.results}")

    def _took(self) -> str:
        return duration(self._clock() - self._began)

    def _state(self, now: float) -> str:
        said = [str(self._done) if self.total is None else f"{self._done}/{self.total}"]
        if self.total:
            said.append(f"{self._done / self.total:.0%}")
        assert self._first is not None
        steps, seconds = self._done - self._first[0], now - self._first[1]
        if steps > 0 and seconds > 0:
            speed = steps / seconds
            said.append(f"{speed:.1f} {self.unit}s/s" if speed >= 1 else f"{1 / speed:.1f} s/{self.unit}")
            if self.total is not None:
                said.append(f"{duration(max(0, self.total - self._done) / speed)} left")
        return "  ".join(said + chosen(self._metrics))

    def _print(self, text: str) -> None:
        # No markup and no colours: descriptions and metrics are other people's words.
        self.console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def chosen(metrics: Mapping[str, float]) -> list[str]:
    """The metrics worth a glance, as words: `["loss 0.512", "accuracy 71%"]`."""
    return [f"{word} {_figure(name, metrics[name])}" for name, word in SHOWN.items() if name in metrics]


def duration(seconds: float) -> str:
    """Seconds as a clock shows them: 0:05, 12:40, 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _figure(name: str, value: float) -> str:
    if name == "rewards/accuracies":
        return f"{value:.0%}"
    if name == "tokens_per_second":
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 else f"{value:.3f}"
