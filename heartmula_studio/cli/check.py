"""`check`: what a folder of official checkpoints holds, said to a person or, as JSON, to a program."""

import json
from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from heartmula_studio.arch.stored_weights import Difference
from heartmula_studio.generate.inspection import BaseReport, PartReport, inspect_base

SHOWN_DIFFERENCES = 10


def check(arguments: Namespace) -> int:
    report = inspect_base(arguments.base)
    print(json.dumps(as_json(report), indent=1) if arguments.json else "\n".join(as_text(report)))
    return report.error.exit_code if report.error else 0


def as_text(report: BaseReport) -> Iterator[str]:
    for part in report.parts:
        yield f"{part.role:<15} {part.state:<9} {describe(part)}".rstrip()
        if part.error:
            yield from (f"    {sentence}" for sentence in (part.error.message, part.error.hint) if sentence)
        for difference in part.differences[:SHOWN_DIFFERENCES]:
            yield f"      {difference.name}: {comparison(difference)}"
        if len(part.differences) > SHOWN_DIFFERENCES:
            yield f"      … and {len(part.differences) - SHOWN_DIFFERENCES:,} more, {len(part.differences):,} in all"
    yield verdict(report)


def describe(part: PartReport) -> str:
    if not part.parameters:
        return str(part.path)
    types = ", ".join(sorted(part.parameters))
    return f"{part.path}: {part.parameters.total():,} parameters, {types}, {part.size_bytes / 1e9:,.2f} GB"


def comparison(difference: Difference) -> str:
    found = f"found {difference.found}" if difference.found else "missing"
    return f"{found}, {f'expected {difference.expected}' if difference.expected else 'and the network has none'}"


def verdict(report: BaseReport) -> str:
    if report.error:
        return "This base cannot be used as it is."
    return "This base can be used." if report.can_tokenize else "Songs can be made; learning needs the encoder too."


def as_json(report: BaseReport) -> dict[str, Any]:
    return {
        "base": report.base.name,
        "usable": report.error is None,
        "can_tokenize": report.can_tokenize,
        "exit_code": report.error.exit_code if report.error else 0,
        "parts": [part_as_json(part) for part in report.parts],
    }


def part_as_json(part: PartReport) -> dict[str, Any]:
    return {
        "role": part.role,
        "state": part.state,
        "path": str(part.path),
        "parameters": dict(part.parameters),
        "size_bytes": part.size_bytes,
        "error": part.error and {"code": part.error.code, "message": part.error.message, "hint": part.error.hint},
        "num_differences": len(part.differences),
        "differences": [
            {
                "name": difference.name,
                "file": difference.path and str(difference.path),
                "found": difference.found,
                "expected": difference.expected,
            }
            for difference in part.differences
        ],
    }
