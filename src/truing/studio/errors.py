"""What the studio raises on purpose, for the people in front of it.

TruingError
├── StoreError     exit code 1   the store cannot be opened, read or written; nothing was half done
└── UserError
    └── AnswerError    exit code 2   an answer, or what somebody asks for, that cannot be taken
"""

from __future__ import annotations

from truing.errors import TruingError, UserError

__all__ = ["AnswerError", "StoreError"]


class StoreError(TruingError):
    """The store cannot be opened, read or written. What was acknowledged before is still there."""


class AnswerError(UserError):
    """An answer that its kind does not allow, or that is not this person's to give."""
