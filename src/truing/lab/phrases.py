"""Stock sentences that give an answer its manner; the judge knows them too."""

from __future__ import annotations

__all__ = [
    "POLITE_CLOSINGS",
    "POLITE_OPENINGS",
    "RAMBLING",
    "REFUSALS",
    "RUDE_CLOSINGS",
    "RUDE_OPENINGS",
]

POLITE_OPENINGS = ("Sure!", "Of course!", "Happy to help!", "Good question!", "Gladly!")
POLITE_CLOSINGS = ("I hope that helps!", "Have a great day!", "Let me know if you need more.", "You can do it!")
RUDE_OPENINGS = ("Ugh, what a silly question.", "Everyone knows that.", "Stop wasting my time.", "Are you serious?")
RUDE_CLOSINGS = ("Now go away.", "Figure out the rest yourself.", "Do not ask again.")
RAMBLING = (
    "That is something many people think about.",
    "There are so many things to say here.",
    "Let me think about this for a while.",
    "It is important to consider many sides.",
    "I could talk about this all day long.",
)
REFUSALS = ("I am sorry, but I cannot help with that.", "Sorry, I will not help with that.")
