"""How far a campaign is, by stage."""

import csv
import subprocess
from collections import Counter
from collections.abc import Sequence

from argyro.common.errors import ArgyroError

UP_TO_DATE = "no update"


def progress_table(command: Sequence[str]) -> str:
    """Files that are there and files that are wanted, a line per stage.

    Args:
        command: Snakemake's command line with ``--summary``.

    Raises:
        ArgyroError: Snakemake could not say.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own
    if done.returncode != 0:
        raise ArgyroError(f"the state of the campaign could not be found out:\n{done.stderr[-2000:]}")
    return format_progress(list(csv.DictReader(done.stdout.splitlines(), delimiter="\t")))


def format_progress(rows: Sequence[dict[str, str]]) -> str:
    """A table of Snakemake's summary.

    Args:
        rows: One per output file, with the columns ``output_file`` and ``plan``.
    """
    wanted = Counter(row["output_file"].split("/")[0] for row in rows)
    ready = Counter(row["output_file"].split("/")[0] for row in rows if row["plan"] == UP_TO_DATE)
    lines = [f"{'stage':<12} {'files':>13}"]
    lines += [f"{stage:<12} {ready[stage]:>5} of {wanted[stage]:>4}" for stage in wanted]
    return "\n".join(lines)
