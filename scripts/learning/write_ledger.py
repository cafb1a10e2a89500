"""Write the ledger of one potential."""

from pathlib import Path

from argyro.common.files import read_json
from argyro.common.jobs import job
from argyro.common.tables import write_table
from argyro.learning.ledger import followers, group_by_round, ledger_row, ledger_table

with job(snakemake.log[0]):
    rounds = group_by_round(map(Path, snakemake.input))
    rows = [
        ledger_row(
            files.identity,
            fit=read_json(files.fit),
            explored=[read_json(path) for path in files.explored],
            selection=read_json(files.selection),
            decision=read_json(files.decision),
            outcomes=[row for path in files.outcomes for row in read_json(path)],
            taught=read_json(then.fit) if then else None,
        )
        for files, then in zip(rounds, followers(rounds), strict=True)
    ]
    write_table(Path(snakemake.output[0]), ledger_table(rows))
