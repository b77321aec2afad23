"""The command line: verbs only. Each reads its options, calls one function, and shows what came back.

Nothing heavy is imported before a verb needs it, so that `truing --help` answers at once.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from truing import __version__
from truing.errors import TruingError, UserError

app = typer.Typer(
    name="truing",
    help="Align a language model, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
feedback_app = typer.Typer(help="Look after feedback files.", no_args_is_help=True, rich_markup_mode=None)
lab_app = typer.Typer(help="The embedded world: data with a hidden judge, for trying things.", no_args_is_help=True)
evaluate_app = typer.Typer(help="Numbers with intervals.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(feedback_app, name="feedback")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(lab_app, name="lab")

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")]
Use = Annotated[
    list[Path] | None, typer.Option("--use", metavar="FILE.py", help="Run a file that registers functions.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip rows that cannot be read, and say how many.")]
StoreAt = Annotated[str, typer.Option("--store", help="SQLite file, or postgresql://user@host/name.")]
Annotators = Annotated[str, typer.Option("--annotators", help="Names, as in ann,ben.")]
NewLinks = Annotated[
    bool, typer.Option("--new-links", help="New links also for people who have one; the old ones end.")
]
Host = Annotated[str, typer.Option("--host", help="Address to listen at.")]
Port = Annotated[int, typer.Option("--port", min=0, max=65535, help="0 = any that is free.")]
Url = Annotated[
    str | None, typer.Option("--url", help="Public address, if another server stands in front of this one.")
]
Rewards = Annotated[
    list[str] | None, typer.Option("--reward", help="A reward by name, or the folder of a reward model.")
]
Format = Annotated[str | None, typer.Option("--format", help="Name of the format; by default it is recognised.")]


def _say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        _say(f"truing {__version__}")
        raise typer.Exit


@app.command()
def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (truing recipes) or a .yaml file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    model: Annotated[str | None, typer.Option("--model", help="Folder or hub name of the model.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="File, folder or hub name of the data.")] = None,
    reward: Rewards = None,
    settings: Set = None,
    use: Use = None,
    skip_bad: SkipBad = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train a model with a recipe."""
    from truing import recipe as recipes
    from truing.registry import use_file, use_plugins

    use_plugins()
    for file in use or []:
        use_file(file)
    overrides: dict[str, Any] = {}
    if model:
        overrides["model.path"] = model
    if data:
        overrides["data.train"] = data
    if skip_bad:
        overrides["data.skip_bad"] = True
    if reward:
        overrides["rewards"] = [_reward(r) for r in reward]
    chosen = recipes.load(recipe, overrides | recipes.assignments(settings or []))
    from truing.feedback.files import check_source
    from truing.progress import Progress

    for source in (chosen.data.train, chosen.data.validation):
        if source and not resume:
            check_source(source)
    with Progress(f"{chosen.name} → {out}") as progress:
        progress.stage("loading torch and transformers")
        with importing():
            from truing.train import train as run
        # Before the first step: who hears that half of the prompts are cut may not want to wait for the rest.
        result = run(
            chosen,
            out,
            resume=resume,
            watch=progress.step,
            hear=lambda note: progress.note(f"note: {note}"),
            tell=lambda finding: progress.note(f"{finding.action}: {finding}"),
            say=progress.stage,
        )
    _say(f"model: {result.model}")
    _say(f"record: {out / 'record.jsonl'}")


@app.command()
def recipes(name: Annotated[str | None, typer.Argument(help="Print this recipe in full.")] = None) -> None:
    """List the shipped recipes, or print one."""
    from truing import recipe as module

    if name:
        _say(module.dump(module.load(name)).rstrip())
        return
    for each in module.names():
        loaded = module.load(each)
        _say(f"{each:14} {loaded.summary}  [{loaded.paper}]")


@app.command()
def explain(recipe: Annotated[str, typer.Argument(help="A recipe.")], settings: Set = None, use: Use = None) -> None:
    """Show which stage of a recipe makes each stream, and who reads it."""
    from truing import recipe as module
    from truing.explain import explain as explained
    from truing.registry import use_file

    for file in use or []:
        use_file(file)
    chosen = module.load(recipe, settings or [])
    with importing():
        text = explained(chosen)
    _say(text)


@app.command()
def generate(
    model: Annotated[str, typer.Option("--model", help="Folder or hub name of the model.")],
    data: Annotated[str, typer.Option("--data", help="File of prompts.")],
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    samples: Annotated[int, typer.Option("--samples", min=1, help="Responses per prompt.")] = 1,
    best_of: Annotated[
        int | None, typer.Option("--best-of", min=1, help="Sample so many, write the one with the highest reward.")
    ] = None,
    keep_all: Annotated[bool, typer.Option("--all", help="With --best-of: write the others too, best first.")] = False,
    reward: Rewards = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 = greedy.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0)] = 1.0,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1)] = 256,
    template: Annotated[str, typer.Option("--template", help="Chat template.")] = "auto",
    seed: Annotated[int, typer.Option("--seed")] = 0,
    use: Use = None,
    skip_bad: SkipBad = False,
) -> None:
    """Sample responses; with rewards, score them and put the best first, or write the best alone (best-of-N)."""
    if best_of and not reward:
        raise UserError("--best-of, and nothing says which is best", remedy="Name a --reward.")
    if best_of and samples != 1:
        raise UserError(
            f"--best-of {best_of} and --samples {samples}", remedy="--best-of says how many: leave one out."
        )
    if keep_all and not best_of:
        raise UserError("--all without --best-of", remedy="Without --best-of every sample is written anyway.")
    with importing():
        from truing.generate import generate as run
        from truing.rollouts.sampling import Sampling

        named = _rewards(reward, use)
    done = run(
        model,
        data,
        out,
        num_samples=best_of or samples,
        sampling=Sampling(temperature=temperature, top_p=top_p, max_new_tokens=max_new_tokens, seed=seed),
        rewards=named,
        only_best=best_of is not None and not keep_all,
        template=template,
        skip_bad=skip_bad,
    )
    _say(f"{done.text(best_of=best_of is not None)}\nresponses: {out}")


@app.command()
def export(
    models: Annotated[list[str], typer.Argument(help="A run, an adapter or a model; or several adapters of one base.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    by: Annotated[
        str, typer.Option("--by", help="How several are merged: linear, ties, dare_linear, dare_ties.")
    ] = "linear",
    weights: Annotated[
        str | None, typer.Option("--weights", help="One for each adapter, as in 0.5,0.5; 1 for each by default.")
    ] = None,
    density: Annotated[float, typer.Option("--density", help="ties, dare: the share of each change kept.")] = 0.5,
    seed: Annotated[int, typer.Option("--seed", help="dare: decides what is dropped.")] = 0,
) -> None:
    """Merge adapters into their base and write a plain Hugging Face folder."""
    with importing():
        from truing.export import export as run
        from truing.export import settings

    _say(run(models, out, settings(by, weights, density, seed)).text())


@app.command()
def collect(
    source: Annotated[str, typer.Argument(help="File of prompts, or of groups to be judged.")],
    kind: Annotated[
        str,
        typer.Option("--kind", help="pair, ranking, thumbs, stars, steps, critique, edit or red_team."),
    ] = "pair",
    store: StoreAt = "studio.db",
    name: Annotated[str | None, typer.Option("--name", help="Name of the project; the file's by default.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Setting of the kind, as in aspects=[helpful,correct]."),
    ] = None,
    guidelines: Annotated[
        Path | None, typer.Option("--guidelines", help="Markdown that people read before they begin.")
    ] = None,
    gold: Annotated[
        str | None, typer.Option("--gold", help="File with known answers (column `gold`), mixed in all the time.")
    ] = None,
    qualification: Annotated[
        str | None, typer.Option("--qualification", help="File with known answers: the test before real work.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Answers the prompts; several: blind battles. Red team: talks.")
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", min=1, help="Answers of each model to a prompt.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0)] = 1.0,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1)] = 256,
    overlap: Annotated[int, typer.Option("--overlap", min=1, help="People who judge a shared item.")] = 2,
    overlap_share: Annotated[
        float, typer.Option("--overlap-share", min=0.0, max=1.0, help="Share of items that are shared.")
    ] = 0.1,
    wage: Annotated[float | None, typer.Option("--wage", min=0.0, help="Money per hour, to know the cost.")] = None,
    annotators: Annotators = "",
    new_links: NewLinks = False,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    url: Url = None,
    skip_bad: SkipBad = False,
) -> None:
    """Collect feedback from people: serve the labelling application for a file."""
    from truing import recipe
    from truing.studio import kinds
    from truing.studio.store import Store
    from truing.studio.web import collect as collecting
    from truing.studio.web.serve import listen

    found = kinds.get(kind)
    wanted = recipe.assignments(settings or [])
    found.settings(wanted)
    listening = listen(host, port)
    with Store.open(store) as opened:
        make, talk = None, None
        if model:
            with importing():
                from truing.rollouts.sampling import Sampling
                from truing.studio.web.candidates import generated, needed, talk_to

            sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens)
            if kind == "red_team":
                if len(model) != 1:
                    raise UserError(f"{len(model)} models to talk to", where="--model", remedy="Name one.")
                talk = talk_to(model[0], sampling)
            else:
                number = samples or needed(kind, len(model))
                make = lambda: generated(source, kind, model, number, sampling)  # noqa: E731
        elif samples:
            raise UserError(f"--samples {samples}, and nothing says of which model", remedy="Name a --model.")
        elif kind == "red_team":
            raise UserError("there is no model to talk to", where="--kind red_team", remedy="Name a --model.")
        project, added = collecting.prepare(
            opened,
            source,
            kind,
            name=name,
            settings=wanted,
            guidelines=guidelines,
            gold=gold,
            qualification=qualification,
            make=make,
            skip_bad=skip_bad,
            overlap=overlap,
            overlap_share=overlap_share,
            wage=wage,
        )
        total = sum(opened.num_items(project.id).values())
        _say(f"{project.name}: {total} items ({added} new), {found.title.lower()}; kept in {opened.place}")
        _serve(opened, listening, url, [n for n in map(str.strip, annotators.split(",")) if n], new_links, talk)


@app.command()
def studio(
    store: StoreAt = "studio.db",
    annotators: Annotators = "",
    new_links: NewLinks = False,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    url: Url = None,
) -> None:
    """Serve what `truing collect` has begun."""
    from truing.studio.store import Store
    from truing.studio.web.serve import listen

    listening = listen(host, port)
    with Store.open(store) as opened:
        _serve(opened, listening, url, [n for n in map(str.strip, annotators.split(",")) if n], new_links, None)


def _serve(store: Any, listening: Any, url: str | None, annotators: list[str], renew: bool, talk: Any) -> None:
    """Print everybody's link and serve."""
    from truing.studio.web.collect import sign_in_links
    from truing.studio.web.serve import address, serve

    public = (url or address(listening)).rstrip("/")
    for each in sign_in_links(store, public, annotators, renew=renew):
        has = "has a link already; --new-links makes another"
        _say(f"  {each.role:9} {each.name:16} {each.url or has}")
    _say(f"serving at {public}; Ctrl-C ends it")
    sys.stdout.flush()
    serve(store, listening, public, talk)


@app.command()
def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another run.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Word problems instead: a cold start, then rewards that can be checked.")
    ] = False,
) -> None:
    """The whole job on the embedded world, in minutes: SFT, reward model, DPO, GRPO, evaluation, report."""
    if reasoning:
        with importing():
            from truing.quickstart import reasoning as stages

        page = stages.reasoning(out, stages.Settings(seed=seed), resume=resume)
    else:
        with importing():
            from truing.quickstart import Settings
            from truing.quickstart import quickstart as run

        page = run(out, Settings(seed=seed), resume=resume)
    _say(f"report: {page}")


@app.command("compare-methods")
def compare_methods(
    out: Annotated[Path, typer.Option("--out", help="Folder of the comparison.")] = Path("comparison"),
    method: Annotated[list[str] | None, typer.Option("--method", help="A recipe; all offline ones by default.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds, from 0.")] = 3,
    online: Annotated[
        bool, typer.Option("--online", help="The online methods against one reward model instead.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
) -> None:
    """Train every offline method on the same preferences of the embedded world and judge them: one table, one plot.
    With --online every online method against the same reward model, and how far each goes for what it gains."""
    with importing():
        if online:
            from truing.quickstart.frontier import frontier as run
        else:
            from truing.quickstart.compare import compare_methods as run

    page = run(out, method, seeds=range(seeds), resume=resume)
    _say(f"report: {page}")


@lab_app.command("demonstrations")
def lab_demonstrations(
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 1600,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Write answered requests of mixed quality, for SFT."""
    from truing import lab

    _say(f"{lab.write_demonstrations(out, num, seed)} demonstrations: {out}")


@lab_app.command("prompts")
def lab_prompts(
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    split: Annotated[str, typer.Option("--split", help="train, dev, test, or new (items never seen).")] = "train",
    num: Annotated[int | None, typer.Option("--num", min=1, help="How many; all by default.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Write requests without answers."""
    from truing import lab

    _say(f"{lab.write_prompts(out, split, num, seed)} prompts: {out}")


@lab_app.command("problems")
def lab_problems(
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "train",
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 1000,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Write arithmetic word problems with their answers."""
    from truing import lab

    _say(f"{lab.write_problems(out, split, num, seed)} problems: {out}")


@lab_app.command("solutions")
def lab_solutions(
    out: Annotated[Path, typer.Option("--out", help="JSONL file to write.")],
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 800,
    direct: Annotated[
        float, typer.Option("--direct", min=0.0, max=1.0, help="Share that says the answer without a thought.")
    ] = 0.5,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Write arithmetic word problems with solutions, for a cold start: some worked out, some not, some badly."""
    from truing import lab

    # Of those that are worked out two fifths are sloppy, as in the world's other demonstrations.
    mix = {"direct": direct, "chain": 0.6 * (1 - direct), "sloppy": 0.4 * (1 - direct)}
    _say(f"{lab.write_demonstrations(out, num, seed, arithmetic=1.0, solutions=mix)} solutions: {out}")


@lab_app.command("model")
def lab_model() -> None:
    """Print the folder of the embedded base model."""
    from truing import lab

    _say(str(lab.base_path()))


@evaluate_app.command("best-of-n")
def evaluate_best_of_n(
    model: Annotated[str, typer.Option("--model", help="Folder or hub name of the model.")],
    data: Annotated[str, typer.Option("--data", help="File of prompts.")],
    reward: Rewards = None,
    value: Annotated[
        list[str] | None, typer.Option("--value", help="A reward that does not choose, to judge what was chosen.")
    ] = None,
    largest: Annotated[int, typer.Option("--n", min=1, help="Largest N; 1, 2, 4, ... up to it are measured.")] = 16,
    samples: Annotated[
        int | None, typer.Option("--samples", min=1, help="Samples for each prompt, at least N; N by default.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("best_of_n.json"),
    temperature: Annotated[float, typer.Option("--temperature", min=0.0)] = 1.0,
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", min=1)] = 256,
    seed: Annotated[int, typer.Option("--seed")] = 0,
    use: Use = None,
    skip_bad: SkipBad = False,
) -> None:
    """What the best of N is worth, and how far from the model it can be, for N = 1, 2, 4, ..."""
    if not reward:
        raise UserError("nothing says which is best", where="evaluate best-of-n", remedy="Name a --reward.")
    with importing():
        from truing.evaluate.sampled_best_of_n import measure
        from truing.rollouts.sampling import Sampling

        named = _rewards(reward, use)
    report = measure(
        model,
        data,
        out,
        named,
        values=_rewards(value, None),
        largest=largest,
        samples=samples,
        sampling=Sampling(temperature=temperature, max_new_tokens=max_new_tokens, seed=seed),
        skip_bad=skip_bad,
    )
    _say(report)
    _say(f"report: {out}")


@evaluate_app.command("reward")
def evaluate_reward(
    model: Annotated[str, typer.Option("--model", help="Folder or hub name of a reward model.")],
    data: Annotated[str, typer.Option("--data", help="File of comparisons that it was not trained on.")],
    out: Annotated[Path, typer.Option("--out", help="JSON file to write.")] = Path("reward_evaluation.json"),
    category: Annotated[str, typer.Option("--category", help="Column that says what kind a row is of.")] = "category",
    format: Format = None,
) -> None:
    """Compare a reward model with people's preferences: accuracy, calibration, length."""
    with importing():
        from truing.evaluate.reward_model import evaluate_reward as run

    _say(run(model, data, out, format=format, category=category).text())
    _say(f"report: {out}")


@feedback_app.command("check")
def feedback_check(file: str, format: Format = None) -> None:
    """Read every row and report each that cannot be used."""
    from truing.feedback.check import check

    report = check(file, format=format)
    _say(report.text())
    if report.num_problems:
        raise typer.Exit(2)


@feedback_app.command("stats")
def feedback_stats(file: str, format: Format = None, skip_bad: SkipBad = False) -> None:
    """What is in a file: kinds, group sizes, ties, lengths, annotators."""
    from truing.feedback.stats import stats

    _say(stats(file, format=format, skip_bad=skip_bad).text())


@feedback_app.command("agreement")
def feedback_agreement(
    file: str,
    format: Format = None,
    skip_bad: SkipBad = False,
    target: Annotated[float, typer.Option("--target", help="Agreement to reach: kappa, or alpha of numbers.")] = 0.6,
    item: Annotated[
        str | None, typer.Option("--item", help="Column that tells apart items with the same prompt and responses.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Column to break disagreement down by.")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,...", help="A plain table: columns, one an annotator.")
    ] = None,
    level: Annotated[
        str, typer.Option("--level", help="What --columns hold: nominal (words), ordinal or interval (numbers).")
    ] = "nominal",
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Do people agree? Kappa and alpha with intervals, by pair and overall, and where they part."""
    import json

    from truing.feedback.agreement import agreement

    names = [name.strip() for name in columns.split(",") if name.strip()] if columns else []
    found = agreement(
        file, format=format, skip_bad=skip_bad, target=target, item=item, by=by, columns=names, level=level
    )
    _say(json.dumps(found.as_json(), ensure_ascii=False, indent=1) if as_json else found.text())


@feedback_app.command("interface")
def feedback_interface(
    file: str,
    out: Annotated[Path, typer.Option("--out", help="XML file to write.")],
    ask: Annotated[
        list[str] | None,
        typer.Option("--ask", help="Ask for it, too: preference, ranking, thumbs, critique, edit, or an aspect."),
    ] = None,
    format: Format = None,
) -> None:
    """Write the labelling interface that Label Studio wants for the tasks of a file."""
    from truing.feedback import read
    from truing.feedback.formats.label_studio import config

    if not out.parent.is_dir():
        raise UserError("there is no such folder", where=str(out.parent), remedy="Make it first.")
    out.write_text(config(read(file, format=format), kinds=ask or []), encoding="utf-8")
    _say(f"interface: {out}")


@feedback_app.command("convert")
def feedback_convert(
    file: str,
    out: Annotated[Path, typer.Option("--out", help="File to write; its ending says how.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Name of a format, or a kind: pairs, adjacent_pairs, best_and_worst, best_and_rest, rankings, scores, "
            "labels, revisions, demonstrations.",
        ),
    ],
    format: Format = None,
    skip_bad: SkipBad = False,
    merge: Annotated[
        str | None,
        typer.Option("--merge", help="Several annotators as one: majority, mean, dawid_skene, bradley_terry."),
    ] = None,
    aspect: Annotated[str | None, typer.Option("--aspect", help="Which of several scores counts.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0.0, help="Scores that differ by no more tie.")] = 0.0,
    strength_scale: Annotated[
        float | None,
        typer.Option("--strength-scale", help="Give pairs of scores the strength sigmoid(gap / this)."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="The score from which on a response is good; the middle of the scale."),
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="To labelling tools: as what models predict, not as what people said.")
    ] = False,
) -> None:
    """Rewrite a file in another format, or as another kind of feedback."""
    from truing.feedback.convert import Options, convert

    if strength_scale is not None and strength_scale <= 0:
        raise UserError(f"--strength-scale is {strength_scale}", remedy="It should be above 0, in points of the score.")
    options = Options(aspect, tolerance, strength_scale, threshold)
    done = convert(
        file,
        out,
        to=to,
        format=format,
        skip_bad=skip_bad,
        merge_by=merge,
        options=options,
        predictions=predictions,
    )
    _say(done.text())


def _reward(text: str) -> Any:
    """A reward as a recipe names it: the folder of a reward model, or a name."""
    return {"model": {"path": text}} if Path(text).is_dir() else text


def _rewards(texts: list[str] | None, use: list[Path] | None) -> list[Any]:
    """The rewards of a verb without a recipe."""
    from truing.recipe import Named
    from truing.registry import use_file, use_plugins
    from truing.settings import as_named

    use_plugins()
    for file in use or []:
        use_file(file)
    return [Named.model_validate(as_named(_reward(text))) for text in texts or []]


@contextmanager
def importing() -> Iterator[None]:
    """Import what is heavy inside of it: faster, and without other libraries' progress bars and advice."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Libraries are a million objects that live as long as the process. Looking through them for garbage is a fifth of
    # the time of importing them, and a second more at exit.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def main() -> None:
    """Entry point: errors of ours become one message and an exit code."""
    try:
        app()
    except TruingError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; `--resume` goes on from the last checkpoint\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
