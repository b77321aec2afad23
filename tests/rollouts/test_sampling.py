import subprocess
import sys

import pytest

from truing.errors import RecipeError
from truing.rollouts.sampling import Sampling, ends_with_stop, sample_seeds


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"temperature": -1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"top_p": 1.5}, "top_p"),
        ({"top_k": -1}, "top_k"),
        ({"min_p": 1}, "min_p"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": ("",)}, "stop"),
        ({"stop": "END"}, "stop"),
    ],
)
def test_a_setting_that_cannot_mean_anything_is_refused_by_name(settings, word):
    with pytest.raises(RecipeError, match=f"sampling: {word}"):
        Sampling(**settings)


def test_a_prompts_seeds_do_not_depend_on_its_company():
    alone = sample_seeds([[1, 2]], 3, seed=5)
    assert sample_seeds([[9], [1, 2], [3]], 3, seed=5)[1] == alone[0]
    assert sample_seeds([[1, 2]], 5, seed=5)[0][:3] == alone[0]


def test_a_prompt_that_comes_twice_gets_further_samples_not_the_same():
    first, again = sample_seeds([[1, 2], [1, 2]], 2, seed=5)
    assert first + again == sample_seeds([[1, 2]], 4, seed=5)[0]
    assert len({*first, *again}) == 4


def test_seeds_differ_between_seeds_and_between_prompts_of_the_same_digits():
    seeds = [sample_seeds([p], 1, seed=s)[0][0] for p, s in [([1, 2], 0), ([12], 0), ([1, 2], 1), ([2], 1)]]
    assert len(set(seeds)) == 4
    assert all(0 <= s < 2**63 for s in seeds)


def spell(tokens: list[int]) -> str:
    return bytes(tokens).decode("utf-8", errors="replace")


@pytest.mark.parametrize(
    ("text", "stop", "ends"),
    [
        ("all done", ("done",), True),
        ("all done.", ("done.", "never"), True),
        ("all don", ("done",), False),
        ("ja, schön", ("schön",), True),
        ("", ("x",), False),
    ],
)
def test_a_stop_string_is_seen_when_its_last_token_comes(text, stop, ends):
    assert ends_with_stop(list(text.encode()), stop, spell) is ends


def test_a_stop_string_may_end_inside_a_token():
    assert ends_with_stop([0, 1], ("ab",), lambda tokens: "".join(["xa", "bcd"][t] for t in tokens))


def test_only_the_tail_is_decoded():
    lengths = []

    def watching(tokens: list[int]) -> str:
        lengths.append(len(tokens))
        return spell(tokens)

    ends_with_stop(list(b"a" * 1000), ("done",), watching)
    assert lengths == [12]


def test_importing_the_settings_imports_no_torch():
    code = "import sys, truing.rollouts.sampling; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
