"""The one idea: a group is a prompt, K >= 1 responses, and what somebody said about them.

Knows nobody: no torch, no tokenizer, no file. Everything is frozen; rows become groups in `feedback.formats`,
groups become tokens in `chat` and `tree`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

__all__ = [
    "Critique",
    "Feedback",
    "Group",
    "Labels",
    "Message",
    "Prompt",
    "Ranking",
    "Response",
    "Scores",
    "StepLabels",
]

ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise ValueError(f"role {self.role!r} is none of {', '.join(ROLES)}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is asked: turns that end where the model has to speak.

    Empty for plain text to be continued from nothing.
    """

    messages: tuple[Message, ...] = ()

    @classmethod
    def of(cls, text: str, *, system: str | None = None) -> Prompt:
        """A single user turn."""
        head = (Message("system", system),) if system else ()
        return cls((*head, Message("user", text)))

    @property
    def text(self) -> str:
        """The turns as a person would read them; a single user turn is just its text."""
        if len(self.messages) == 1 and self.messages[0].role == "user":
            return self.messages[0].content
        return "\n\n".join(f"{m.role}: {m.content}" for m in self.messages)


@dataclass(frozen=True, slots=True)
class Response:
    """What the model said, or should say.

    Usually one assistant turn. In a multi-turn demonstration the turns after the first assistant turn belong to it
    too, whoever spoke; only the assistant's are trained on. `steps` keeps the cut of a reasoning into steps.
    """

    messages: tuple[Message, ...]
    steps: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> Response:
        """A single assistant turn."""
        return cls((Message("assistant", text),))

    @classmethod
    def of_steps(cls, steps: Sequence[str], separator: str = "\n") -> Response:
        """A single assistant turn made of reasoning steps."""
        return cls((Message("assistant", separator.join(steps)),), tuple(steps))

    @property
    def text(self) -> str:
        """The assistant's words."""
        return "\n\n".join(m.content for m in self.messages if m.role == "assistant")


@dataclass(frozen=True, slots=True)
class Ranking:
    """Order of preference: `ranks[i]` is the place of response i, 1 = best; equal = a tie; None = left unranked.

    For K = 2, `strength` is the probability (0.5..1) that the better one is preferred, and `margin` by how much it
    is better (Llama-2, arXiv:2307.09288, eq. 2). A comparison of two with equal ranks is a tie.
    """

    ranks: tuple[int | None, ...]
    strength: float | None = None
    margin: float | None = None
    annotator_id: str | None = None

    def __post_init__(self) -> None:
        if self.strength is not None and not 0.5 <= self.strength <= 1.0:
            raise ValueError(f"strength {self.strength} is outside 0.5..1: it is the probability that the better wins")
        if any(r is not None and r < 1 for r in self.ranks):
            raise ValueError(f"ranks {self.ranks} count from 1 (1 = best)")
        if len(self.ranks) != 2 and (self.strength is not None or self.margin is not None):
            raise ValueError("strength and margin belong to a pair (two ranks)")

    @classmethod
    def pair(
        cls, *, strength: float | None = None, margin: float | None = None, annotator_id: str | None = None
    ) -> Ranking:
        """The first of two is preferred."""
        return cls((1, 2), strength, margin, annotator_id)

    @classmethod
    def order(cls, indices: Sequence[int], size: int, *, annotator_id: str | None = None) -> Ranking:
        """From indices in order of preference, best first; those not named stay unranked."""
        place = {index: rank for rank, index in enumerate(indices, 1)}
        return cls(tuple(place.get(i) for i in range(size)), annotator_id=annotator_id)

    def pairs(self) -> list[tuple[int, int]]:
        """All (better, worse) index pairs, in order of index; ties and unranked give none."""
        ranked = [(i, r) for i, r in enumerate(self.ranks) if r is not None]
        return [(i, j) for i, a in ranked for j, b in ranked if a < b]


@dataclass(frozen=True, slots=True)
class Scores:
    """A number per response for each aspect: `values["overall"][i]`, None = not given; `scale` = (lowest, highest)."""

    values: Mapping[str, tuple[float | None, ...]]
    scale: tuple[float, float] | None = None
    annotator_id: str | None = None

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("scores need at least one aspect")
        if self.scale is not None:
            low, high = self.scale
            for aspect, values in self.values.items():
                for value in values:
                    if value is not None and not low <= value <= high:
                        raise ValueError(f"{aspect} score {value} is outside its scale {low}..{high}")


@dataclass(frozen=True, slots=True)
class Labels:
    """Thumbs: True = up, False = down, None = not given."""

    values: tuple[bool | None, ...]
    annotator_id: str | None = None


@dataclass(frozen=True, slots=True)
class StepLabels:
    """Marks on reasoning steps: `values[i][s]` judges step s of response i: 1 right, 0 neutral, -1 wrong, None none.

    Between them a probability p that the step is right is the mark 2p − 1 (a share of rollouts that succeed, say).
    """

    values: tuple[tuple[float | None, ...], ...]
    annotator_id: str | None = None

    def __post_init__(self) -> None:
        if any(v is not None and not -1 <= v <= 1 for row in self.values for v in row):
            raise ValueError("step labels are 1 (right), 0 (neutral), -1 (wrong), between them, or None")

    @property
    def soft(self) -> bool:
        """Whether some mark is a probability and no verdict."""
        return any(v not in (1, 0, -1, None) for row in self.values for v in row)


@dataclass(frozen=True, slots=True)
class Critique:
    """Words about responses, and the corrected response where somebody wrote one."""

    texts: tuple[str | None, ...]
    edits: tuple[Response | None, ...] = ()
    annotator_id: str | None = None


Feedback = Ranking | Scores | Labels | StepLabels | Critique
F = TypeVar("F", Ranking, Scores, Labels, StepLabels, Critique)


def _size(feedback: Feedback) -> int:
    match feedback:
        case Ranking(ranks=ranks):
            return len(ranks)
        case Scores(values=values):
            sizes = {len(v) for v in values.values()}
            if len(sizes) != 1:
                raise ValueError(f"aspects score different numbers of responses: {sorted(sizes)}")
            return sizes.pop()
        case Critique(texts=texts):
            return len(texts)
        case Labels(values=values) | StepLabels(values=values):
            return len(values)


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt, its K responses, and what was said about them.

    K = 0 is a bare prompt, to be answered by the policy. `columns` carries whatever else the row had (a reference
    answer, a category); reward functions receive it.
    """

    prompt: Prompt
    responses: tuple[Response, ...] = ()
    feedback: tuple[Feedback, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for said in self.feedback:
            if _size(said) != len(self.responses):
                kind = type(said).__name__
                raise ValueError(f"{kind} speaks of {_size(said)} responses, the group has {len(self.responses)}")

    def said(self, kind: type[F]) -> tuple[F, ...]:
        """The feedback of one kind."""
        return tuple(f for f in self.feedback if isinstance(f, kind))
