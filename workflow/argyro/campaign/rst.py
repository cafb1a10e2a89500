"""Pieces of reStructuredText, which Snakemake's report begins with."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\*`|_])")


def escaped(text: object) -> str:
    """Text that stands for itself, on one line; Snakemake takes double braces for its own."""
    return SPECIAL.sub(r"\\\1", " ".join(str(text).split())).replace("{{", "{ {").replace("}}", "} }")


def heading(text: str, mark: str) -> str:
    """A heading underlined with a mark: ``=`` of the page, ``-`` of a section."""
    return f"{escaped(text)}\n{mark * (len(escaped(text)) + 2)}\n"


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], nothing: str) -> str:
    """A table, or a sentence in its place where there is no row."""
    lines: list[list[object]] = [list(columns), *(list(row) for row in rows)]
    if len(lines) == 1:
        return f"{escaped(nothing)}\n"
    body = [
        f"   {'*' if number == 0 else ' '} - {escaped(cell) or chr(92)}"
        for line in lines
        for number, cell in enumerate(line)
    ]
    return "\n".join([".. list-table::", "   :header-rows: 1", "", *body, ""])
