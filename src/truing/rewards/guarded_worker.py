"""The process behind `guarded.py`: reads questions as lines of JSON, writes answers, and dies at its limits.

Run as a script, `guarded_worker.py JOB SECONDS MEMORY`; it imports nothing of Truing.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any, TextIO

__all__: list[str] = []

Job = Callable[..., Any]


def math_job() -> Job:
    """(reference, answer) in LaTeX -> whether math-verify holds them for the same."""
    logging.disable(logging.WARNING)  # that its own limits are off: ours hold
    from math_verify import LatexExtractionConfig, parse, verify

    # LaTeX only. Its reader of plain expressions ends in Python's `eval`, which is nothing for hostile text.
    config = [LatexExtractionConfig(boxed_match_priority=0)]

    def same(reference: str, answer: str) -> bool:
        try:
            read = [
                # No time limits of its own: they are made of signals, see guarded.py.
                parse(f"\\boxed{{{text}}}", extraction_config=config, parsing_timeout=None)
                for text in (reference, answer)
            ]
            return all(read) and bool(verify(read[0], read[1], timeout_seconds=None))
        except MemoryError:
            raise
        except Exception:  # whatever it stumbles over: an answer that cannot be read is not the reference
            return False

    return same


def regex_job() -> Job:
    """(pattern, flags, whole, text) -> whether the pattern is found in it."""

    def found(pattern: str, flags: int, whole: bool, text: str) -> bool:
        match = re.fullmatch if whole else re.search
        return match(pattern, text, flags) is not None

    return found


def json_schema_job() -> Job:
    """(schema, text) -> whether the text is JSON that fits; a string is what is wrong with the schema."""
    import jsonschema
    from jsonschema_specifications import REGISTRY

    def no_constant(name: str) -> Any:
        raise ValueError(f"{name} is not JSON")

    def fits(schema: Any, text: str) -> bool | str:
        kind = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        try:
            kind.check_schema(schema)
        except jsonschema.SchemaError as error:
            return f"{error.message:.200} at {error.json_path:.100}"
        try:
            value = json.loads(text, parse_constant=no_constant)
        except (ValueError, RecursionError):
            return False
        try:
            # A registry of its own and no way to fetch: by default jsonschema would load a remote `$ref`.
            return bool(kind(schema, registry=REGISTRY).is_valid(value))
        except re.error as error:
            return f"a pattern in it is no regular expression: {error}"
        except MemoryError:
            raise
        except Exception as error:  # a hostile value may break a check, an infinite number does: then it does not fit
            unresolved = type(error).__name__ in {"_WrappedReferencingError", "Unresolvable"}
            return f"its $ref is not in it: {error!s:.200}" if unresolved else False

    return fits


JOBS = {"math": math_job, "regex": regex_job, "json_schema": json_schema_job}


def limit_memory(mebibytes: int) -> None:
    """No more address space than now and so many MiB."""
    try:
        import resource

        with open("/proc/self/statm", encoding="ascii") as file:
            now = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (ImportError, OSError):  # neither Windows nor macOS has both: the limit on time stays
        return
    resource.setrlimit(resource.RLIMIT_AS, (now + mebibytes * 2**20,) * 2)


def limit_time(seconds: int) -> None:
    """From now on `seconds` to a second more of processor time; then the kernel ends the process."""
    try:
        import resource
    except ImportError:  # Windows: the clock of the asking process stays
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main() -> None:
    name, seconds, memory = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    # What libraries print is not an answer.
    out: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    try:
        job = JOBS[name]()
    except Exception as error:
        out.write(" ".join(f"{type(error).__name__}: {error}".split()) + "\n")
        return
    limit_memory(memory)
    out.write("ready\n")
    for line in sys.stdin.buffer:
        limit_time(seconds)
        try:
            answer = job(*json.loads(line))
        except MemoryError:
            return  # what is left cannot be trusted: the next question gets a fresh process
        out.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
