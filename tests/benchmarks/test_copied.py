from __future__ import annotations

from sides.copied import copy_row

from truing.tree import Span


def test_every_response_gets_a_copy_of_its_prompt() -> None:
    # p0 p1 | a2 | b3 b4 || q5 | c6
    layout = [Span((0, 2), ((2, 3), (3, 5))), Span((5, 6), ((6, 7),))]
    old_of, new_of, spans = copy_row(layout)
    assert old_of == [0, 1, 2, 0, 1, 3, 4, 5, 6]
    assert spans == [Span((0, 2), ((2, 3),)), Span((3, 5), ((5, 7),)), Span((7, 8), ((8, 9),))]
    assert [old_of[place] for place in new_of] == list(range(7))
    assert new_of == [0, 1, 2, 5, 6, 7, 8]


def test_a_prompt_without_a_response_stays_as_it_is() -> None:
    old_of, new_of, spans = copy_row([Span((0, 3), ())])
    assert old_of == new_of == [0, 1, 2]
    assert spans == [Span((0, 3), ((3, 3),))]
