from __future__ import annotations

from truing.group import Group, Prompt, Response
from truing.studio.coverage import clusters, coverage
from truing.studio.store import Store

COOKING = [
    f"how long should I {verb} the {food} in the oven"
    for verb in ("bake", "roast")
    for food in ("bread", "chicken", "potatoes")
]
CODING = [
    f"write a python function that {verb} a {thing}"
    for verb in ("sorts", "reverses")
    for thing in ("list", "string", "tree")
]


def test_texts_about_two_things_are_two_clusters_with_telling_words() -> None:
    found = clusters(COOKING + CODING, 2)
    assert {tuple(sorted(indices)) for indices, _ in found} == {tuple(range(6)), tuple(range(6, 12))}
    words = {min(indices): set(words) for indices, words in found}
    assert words[0] & {"oven", "how", "long", "should", "the", "in"}
    assert words[6] & {"python", "write", "function", "that"}


def test_the_same_seed_gives_the_same_clusters() -> None:
    assert clusters(COOKING + CODING, 3, seed=1) == clusters(COOKING + CODING, 3, seed=1)


def test_texts_without_words_and_scripts_without_spaces_are_no_trouble() -> None:
    assert clusters([], None) == []
    assert clusters(["1 + 1", "🦉"], None) == [([0, 1], [])]
    assert clusters(["same words", "same words"], None) == [([0, 1], [])]
    found = clusters(["今天天气很好", "今天天气不好", "怎么做面包", "怎么烤面包"], 2)
    assert {tuple(sorted(indices)) for indices, _ in found} == {(0, 1), (2, 3)}


def test_categories_and_clusters_say_how_much_of_them_is_labelled_and_gaps_are_named(one: Store) -> None:
    project = one.create_project("helpful", "pair", overlap_share=0, gold_share=0)
    answers = (Response.of("a"), Response.of("b"))
    texts = [(text, "coding") for text in CODING] + [(text, "cooking") for text in COOKING] + [("hi", None)]
    one.add_items(
        project.id, [Group(Prompt.of(text), answers, (), {"category": kind} if kind else {}) for text, kind in texts]
    )
    ann, _ = one.add_person("Ann")
    assert coverage(one, project.id).gaps == ()
    for number in range(6):  # the first six are about code
        task = one.next_task(project.id, ann.id)
        assert task is not None
        one.submit(task.id, ann.id, {"choice": "first"}, f"k{number}", 1)
    found = coverage(one, project.id, num_clusters=2)
    assert (found.num_items, found.num_labelled) == (13, 6)
    assert [(p.name, p.num_items, p.num_labelled) for p in found.categories] == [
        ("coding", 6, 6),
        ("cooking", 6, 0),
        ("(none)", 1, 0),
    ]
    assert sum(part.num_items for part in found.clusters) == 13
    assert found.gaps[0] == "category 'cooking': 0 of 6 items labelled, 46% of all are"
    assert any(gap.startswith("prompts about") for gap in found.gaps)
