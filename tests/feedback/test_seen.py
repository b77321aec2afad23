"""Keys and the places where they were seen first."""

from truing.feedback.seen import Seen


def test_the_first_place_of_a_key_is_remembered_in_memory_and_on_disk_alike() -> None:
    seen = Seen(in_memory=2)
    for number in range(5):
        assert seen.first(bytes([number]), f"file:{number}") == f"file:{number}"
    assert [seen.first(bytes([number]), "later") for number in range(5)] == [f"file:{n}" for n in range(5)]
    assert seen.get(b"never") is None


def test_no_more_keys_than_were_allowed_stay_in_memory() -> None:
    seen = Seen(in_memory=3)
    for number in range(10):
        seen.first(bytes([number]), "")
    assert len(seen._memory) == 3


def test_a_key_is_seen_again_from_the_second_time_on() -> None:
    seen = Seen(in_memory=1)
    assert [seen.again(key) for key in (b"a", b"b", b"a", b"b", b"c")] == [False, False, True, True, False]
