"""Write concentration and flux of one case for ParaView, and draw them."""

from pathlib import Path

from argyro.common.jobs import job
from argyro.config.continuum import FieldCase
from argyro.continuum.field_cases import fields_of_case
from argyro.continuum.fields import draw_fields, write_vtkhdf
from argyro.continuum.pairs import read_pairs
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    files, output, params = snakemake.input, snakemake.output, snakemake.params
    fields = fields_of_case(
        FieldCase.model_validate(params.case),
        read_microstructure(Path(files.microstructure)),
        read_pairs(Path(files.pairs))[0],
        params.width_nm,
        threads=snakemake.threads,
    )
    write_vtkhdf(Path(output.concentration).parent, fields)
    draw_fields(Path(output.picture), fields)
