"""`truing collect` and `truing studio`: the labelling application."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from truing.cli.imports import importing
from truing.cli.options import MaxNewTokens, SkipBad, names

if TYPE_CHECKING:
    import socket

    from truing.studio.store import Store
    from truing.studio.web.guard import Talk

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
    max_new_tokens: MaxNewTokens = 256,
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
    from truing.rollouts.sampling import Sampling
    from truing.studio import kinds
    from truing.studio.store import Store
    from truing.studio.web import collect as collecting
    from truing.studio.web.serve import listen

    found = kinds.get(kind)
    wanted = recipe.assignments(settings or [])
    found.settings(wanted)
    with listen(host, port) as listening, Store.open(store) as opened:
        with importing():
            sampling = Sampling(temperature=temperature, max_new_tokens=max_new_tokens)
            answered = collecting.answered_by(model or [], source, kind, samples, sampling)
        project, added = collecting.prepare(
            opened,
            source,
            kind,
            name=name,
            settings=wanted,
            guidelines=guidelines,
            gold=gold,
            qualification=qualification,
            make=answered.make,
            skip_bad=skip_bad,
            overlap=overlap,
            overlap_share=overlap_share,
            wage=wage,
        )
        total = sum(opened.num_items(project.id).values())
        print(f"{project.name}: {total} items ({added} new), {found.title.lower()}; kept in {opened.place}")
        _serve(opened, listening, url, names(annotators), renew=new_links, talk=answered.talk)


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

    with listen(host, port) as listening, Store.open(store) as opened:
        _serve(opened, listening, url, names(annotators), renew=new_links)


def _serve(
    store: Store,
    listening: socket.socket,
    url: str | None,
    annotators: list[str],
    *,
    renew: bool,
    talk: Talk | None = None,
) -> None:
    """Print everybody's link and serve."""
    from truing.studio.web.collect import sign_in_links
    from truing.studio.web.serve import address, serve

    public = (url or address(listening)).rstrip("/")
    for each in sign_in_links(store, public, annotators, renew=renew):
        has = "has a link already; --new-links makes another"
        print(f"  {each.role:9} {each.name:16} {each.url or has}")
    print(f"serving at {public}; Ctrl-C ends it")
    sys.stdout.flush()
    serve(store, listening, public, talk)
