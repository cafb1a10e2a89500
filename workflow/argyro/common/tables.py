"""Tables in parquet files."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from .files import replacing


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table in one step."""
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def join_tables(path: Path, parts: Iterable[Path | str]) -> None:
    """Write the rows of several tables, one after the other, as one."""
    write_table(path, pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True))
