from truing.rollouts.engine import Moves, fill_holes


def test_the_last_living_rows_fill_the_holes():
    assert fill_holes([1, 4], 6) == Moves(source=[5], target=[1], left=4)


def test_rows_at_the_end_just_go():
    assert fill_holes([4, 5], 6) == Moves([], [], 4)


def test_when_all_rows_end_nothing_moves():
    assert fill_holes([2, 0, 1], 3) == Moves([], [], 0)


def test_a_move_never_touches_more_rows_than_ended():
    moves = fill_holes([0], 100)
    assert (moves.source, moves.target) == ([99], [0])
