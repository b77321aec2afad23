"""What a person sees of long work, on a terminal and in a log."""

import io
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from truing.progress import Progress, chosen, duration


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Step:
    number: int
    total: int
    metrics: dict[str, float] = field(default_factory=dict)


def log() -> tuple[io.StringIO, Console]:
    file = io.StringIO()
    return file, Console(file=file, force_terminal=False, width=200)


def test_a_log_gets_the_first_step_then_a_line_every_five_seconds_then_the_end() -> None:
    file, console = log()
    clock = Clock()
    with Progress("sft", 20, results="runs/sft", console=console, clock=clock) as progress:
        for step in range(1, 21):
            clock.now += 1.0
            progress.update(step, {"loss": 2 / step})
    assert file.getvalue().splitlines() == [
        "sft  1/20  5%  loss 2",
        "sft  6/20  30%  1.0 steps/s  0:14 left  loss 0.333",
        "sft  11/20  55%  1.0 steps/s  0:09 left  loss 0.182",
        "sft  16/20  80%  1.0 steps/s  0:04 left  loss 0.125",
        "sft  done: 20 steps in 0:20  loss 0.100",
        "results: runs/sft",
    ]


def test_a_resumed_run_measures_its_own_speed_not_that_of_the_steps_before() -> None:
    file, console = log()
    clock = Clock()
    with Progress("grpo", console=console, clock=clock) as progress:
        clock.now += 60.0  # loading the model
        progress.step(Step(101, 200))
        clock.now += 10.0
        progress.step(Step(106, 200))
    assert file.getvalue().splitlines()[1] == "grpo  106/200  53%  2.0 s/step  3:08 left"


def test_work_that_is_not_counted_in_steps_says_what_it_counts() -> None:
    file, console = log()
    clock = Clock()
    with Progress("preferences", 700, unit="prompt", console=console, clock=clock) as progress:
        progress.update(1)
        clock.now += 7.0
        progress.update(700)
    assert "99.9 prompts/s" in file.getvalue()
    assert "preferences  done: 700 prompts in 0:07" in file.getvalue()


def test_work_that_breaks_off_says_how_far_it_came_and_where_its_results_are() -> None:
    file, console = log()

    def work() -> None:
        with Progress("dpo", 9, results="runs/dpo", console=console) as progress:
            progress.update(4)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert "dpo  stopped: step 4 of 9 in 0:00\nresults: runs/dpo\n" in file.getvalue()


def test_work_that_never_began_leaves_the_word_to_the_error() -> None:
    file, console = log()
    with pytest.raises(ZeroDivisionError), Progress("dpo", 9, results="runs/dpo", console=console):
        raise ZeroDivisionError
    assert file.getvalue() == ""


def test_a_terminal_gets_a_bar_with_metrics_that_ends_in_the_same_line() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, force_interactive=True, width=120, color_system=None)
    with Progress("grpo [/red] → runs/g", results="runs/g", console=console) as progress:
        progress.step(Step(1, 2, {"reward": 0.25, "kl": 0.5, "tokens_per_second": 12345.6}))
        progress.note("note: [bold]as it stands")
        progress.step(Step(2, 2, {"reward": 0.75}))
    shown = file.getvalue()
    assert "━" in shown
    assert "grpo [/red] → runs/g" in shown
    assert "note: [bold]as it stands" in shown
    assert "done: 2 steps in 0:00  reward 0.750  kl 0.500  tokens/s 12,346" in shown


def test_chosen_metrics_keep_their_order_and_leave_the_rest_out() -> None:
    metrics = {"grad_norm": 1.0, "kl": float("nan"), "rewards/accuracies": 0.714, "loss": 0.5, "perplexity": 1234.0}
    assert chosen(metrics) == ["loss 0.500", "perplexity 1.23e+03", "accuracy 71%", "kl nan"]


def test_durations_read_like_a_clock() -> None:
    assert [duration(s) for s in (4.6, 760, 3723)] == ["0:05", "12:40", "1:02:03"]


def test_before_the_first_step_a_log_gets_each_stage_at_once_and_one_that_lasts_every_five_seconds() -> None:
    file, console = log()
    clock = Clock()
    with Progress("dpo", console=console, clock=clock) as progress:
        progress.stage("loading the tokenizer")
        progress.stage("reading pairs.jsonl")
        for groups in range(1, 8):
            clock.now += 1.0
            progress.stage("reading pairs.jsonl", f"{groups} groups")
        progress.stage("loading the model")
    assert file.getvalue().splitlines() == [
        "dpo  loading the tokenizer",
        "dpo  reading pairs.jsonl",
        "dpo  reading pairs.jsonl: 5 groups",
        "dpo  loading the model",
    ]
