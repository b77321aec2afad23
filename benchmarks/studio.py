"""The labelling application under load: how long people wait for their answer to be safe, and for the next item.

    python benchmarks/studio.py                        # 20 people, an answer every 2 seconds each, 60 seconds
    python benchmarks/studio.py --people 5 --pause 0   # as fast as the server lets them

Each person is a thread that does what the page does, over HTTP: fetch the next task, think, submit with a key. Wall
time, since waiting is what is felt: from sending an answer to its acknowledgement, which comes after the transaction is
on the disk. The people run in the measuring process, which takes its share of the machine too. It writes
`results/studio.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median, quantiles

import httpx2

from truing.group import Group, Prompt, Response
from truing.studio.store import Store

RESULTS = Path(__file__).resolve().parent / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=20)
    parser.add_argument("--pause", type=float, default=2.0, help="mean seconds that a person thinks, exponential")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args()


class Waits:
    """Seconds, of all people together."""

    def __init__(self) -> None:
        self.submit: list[float] = []
        self.next: list[float] = []

    def report(self) -> dict[str, dict[str, float]]:
        """Milliseconds: median and 95th percentile."""
        return {
            name: {"number": len(waits), "median_ms": 1000 * median(waits), "p95_ms": 1000 * quantiles(waits, n=20)[-1]}
            for name, waits in vars(self).items()
        }


def groups(number: int) -> list[Group]:
    draw = random.Random(0)

    def words(count: int) -> str:
        return " ".join(f"word{draw.randrange(3000)}" for _ in range(count))

    return [
        Group(Prompt.of(words(40)), (Response.of(words(120)), Response.of(words(120))))
        for _ in range(number)
    ]  # fmt: skip


def work(url: str, project: int, key: str, name: str, pause: float, end: float, waits: Waits) -> None:
    """One person, until the end."""
    draw, number, origin = random.Random(name), 0, {"origin": url}
    with httpx2.Client(base_url=url, timeout=60) as client:
        while client.post("/sign-in", data={"key": key}, headers=origin).status_code == 429:  # its rate limit
            time.sleep(0.5)
        page = client.get(f"/projects/{project}").raise_for_status().text
        headers = origin | {"x-csrf-token": re.findall(r'name="csrf" content="(\w+)"', page)[0]}
        while time.monotonic() < end:
            began = time.perf_counter()
            task = client.get(f"/api/projects/{project}/next").raise_for_status().json()["task"]
            waits.next.append(time.perf_counter() - began)
            if pause:
                time.sleep(draw.expovariate(1 / pause))
            body = {"answer": {"choice": draw.choice(["first", "second"])}, "key": f"{name}-{number}", "seconds": pause}
            began = time.perf_counter()
            client.post(task["paths"]["submit"], json=body, headers=headers).raise_for_status()
            waits.submit.append(time.perf_counter() - began)
            number += 1


def main() -> None:
    chosen = arguments()
    waits = Waits()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "studio.db"
        with Store.open(file) as store:
            project = store.create_project("load", "pair", gold_share=0).id
            store.add_items(project, groups(chosen.items))
            keys = {f"person {i}": store.add_person(f"person {i}")[1] for i in range(chosen.people)}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "truing.cli", "studio", "--store", str(file), "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            for line in server.stdout:
                if "serving at" in line:
                    break
            end = time.monotonic() + chosen.seconds
            url = f"http://127.0.0.1:{port}"
            people = [
                threading.Thread(target=work, args=(url, project, key, name, chosen.pause, end, waits))
                for name, key in keys.items()
            ]
            for person in people:
                person.start()
            for person in people:
                person.join()
            server.terminate()
    said = {"people": chosen.people, "pause": chosen.pause, "items": chosen.items, "load": os.getloadavg()[0]}
    report = said | waits.report()
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "studio.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
