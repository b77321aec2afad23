"""Two answers to one prompt in one sequence, in both orders: what a model of pair preferences reads.

    prompt | A, end of turn | a user's turn that says ANOTHER | B, end of turn

Nothing that an answer says can pass for the turn between: it is made of the template's own tokens after an end of
turn, contents cannot forge either, and a user's turn inside an answer of several turns begins with `USER`, which
ANOTHER does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from truing.group import Group, Message, Prompt, Response

if TYPE_CHECKING:  # the chat and torch are there before the first tree
    from truing.chat import Chat
    from truing.tree import Branch, Tree

__all__ = ["ANOTHER", "USER", "in_order", "pair_trees", "told"]

ANOTHER = "Another answer to the same request:"
USER = "The user: "


def told(response: Response) -> Response:
    """The response with every turn in it that is not the assistant's marked as part of the answer."""
    if all(m.role == "assistant" for m in response.messages):
        return response
    return replace(response, messages=tuple(_marked(m) for m in response.messages))


def _marked(message: Message) -> Message:
    return message if message.role == "assistant" else replace(message, content=USER + message.content)


def in_order(chat: Chat, prompt: Prompt, first: Branch, second: Branch) -> Branch:
    """One order of two answers as a single branch. A first answer that was cut off is closed, so that what follows is
    no part of it; a second one stays open."""
    from truing.tree import Branch

    between = [*([] if first.finished else chat.end_ids), *chat.follow_up(prompt, ANOTHER)]
    tokens = first.tokens + between + second.tokens
    return Branch(tokens, first.mask + [False] * len(between) + second.mask, finished=second.finished)


def pair_trees(group: Group, feedback: Mapping[str, Any], chat: Chat) -> list[Tree]:
    """A tree for each two responses that were compared: its branches are the order that puts the one of lower index
    first, and the other order.

    `feedback` holds `pairs` (better, worse) with a `strength` each, as `experience` reads them off a group; in the
    trees a pair names the branch in which the better one comes first and the one in which the worse one does. What
    several annotators said of the same two stays in one tree. Empty where the truncation policy drops the group.
    """
    from truing.tree import Tree

    plain = chat.group(replace(group, responses=tuple(map(told, group.responses)), feedback=()))
    if plain is None:
        return []
    said: dict[tuple[int, int], list[tuple[tuple[int, int], float]]] = {}
    for (better, worse), strength in zip(feedback["pairs"], feedback["strength"], strict=True):
        branches = (0, 1) if better < worse else (1, 0)
        said.setdefault((min(better, worse), max(better, worse)), []).append((branches, strength))
    made = []
    for (i, j), judgements in said.items():
        one, other = plain.branches[i], plain.branches[j]
        orders = [in_order(chat, group.prompt, one, other), in_order(chat, group.prompt, other, one)]
        pairs, strength = [branches for branches, _ in judgements], [sure for _, sure in judgements]
        made.append(Tree(plain.prompt, orders, {"pairs": pairs, "strength": strength}))
    return made
