"""Draw grains and atoms of polycrystals."""

from pathlib import Path

from argyro.common.extxyz import read_structure
from argyro.common.jobs import job
from argyro.figures.microstructure import Picture, draw_microstructure, microstructure_data
from argyro.figures.style import save_figure
from argyro.microstructure.model import read_microstructure

with job(snakemake.log[0]):
    files, params = snakemake.input, snakemake.params
    pictures = [
        Picture(name, read_microstructure(Path(file))) for name, file in zip(params.cells, files.cells, strict=True)
    ]
    pictures += [
        Picture(name, read_microstructure(Path(grains)), read_structure(Path(atoms)))
        for name, grains, atoms in zip(params.structures, files.grains, files.structures, strict=True)
    ]
    data, figure = microstructure_data(pictures), draw_microstructure(pictures)
    paths = {kind: Path(snakemake.output[kind]) for kind in ("pdf", "png", "csv")}
    save_figure(figure, data, paths, **snakemake.params.drawing)
