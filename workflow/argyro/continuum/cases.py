"""Cases of a sweep (material, temperature, grain size) and what an engine makes of them, as tables."""

import logging
from collections.abc import Iterable

import numpy as np
import pandas as pd
from tqdm import tqdm

from argyro.config.continuum import ContinuumConfig
from argyro.microstructure.model import Microstructure
from argyro.microstructure.tessellation import tessellate

from .grains import interior_size_nm, scaled_to
from .interface import InterfaceEngine
from .material import EffectiveDiffusivity, FloatArray, GrainBoundaryMaterial
from .pairs import Pair
from .switch import choose
from .voxel import VoxelEngine

logger = logging.getLogger(__name__)

AXES = "xyz"
COMPONENTS = [(i, j) for i in range(3) for j in range(i, 3)]
TENSOR = [f"D_{AXES[i]}{AXES[j]}_cm2_per_s" for i, j in COMPONENTS]
EIGENVALUES = [f"D_eigen_{number}_cm2_per_s" for number in (1, 2, 3)]
DIFFUSIVITIES = ["D_bulk_cm2_per_s", "D_gb_par_cm2_per_s", "D_gb_perp_cm2_per_s"]
CASE = ["anion", "exchange_percent", "temperature_K", "gb_width_nm", "grain_size_nm"]


def grain_sizes(settings: ContinuumConfig) -> FloatArray:
    """Grain sizes of a sweep, nm, both ends included, at least so many a decade as the settings say."""
    decades = np.log10(settings.size_max_nm / settings.size_min_nm)
    sizes: FloatArray = np.geomspace(
        settings.size_min_nm, settings.size_max_nm, 1 + int(np.ceil(decades * settings.sizes_per_decade - 1e-9))
    )
    return sizes


def cases_of(settings: ContinuumConfig, pairs: Iterable[Pair]) -> pd.DataFrame:
    """One row for each material, temperature and grain size."""
    rows = []
    for pair in pairs:
        for temperature in settings.temperatures_K:
            values = dict(zip(DIFFUSIVITIES, pair.at(temperature), strict=True))
            for size in grain_sizes(settings):
                case = (pair.anion, pair.exchange_percent, temperature, settings.gb_width_nm, size)
                rows.append(dict(zip(CASE, case, strict=True)) | values)
    return pd.DataFrame(rows, columns=[*CASE, *DIFFUSIVITIES])


def run_interface(settings: ContinuumConfig, microstructure: Microstructure, cases: pd.DataFrame) -> pd.DataFrame:
    """Cases that the interface engine computes, with its results."""
    mine = [
        (index, material, size)
        for index, material, size in _materials(cases)
        if choose(settings, scaled_to(microstructure, size), material).interface
    ]
    engine = InterfaceEngine(microstructure, element_size=settings.element_size)
    results = {
        index: engine.effective_diffusivity(material, size)
        for index, material, size in _with_progress(mine, "interface engine")
    }
    return _with_results(cases, results)


def run_voxels(
    settings: ContinuumConfig, microstructure: Microstructure, cases: pd.DataFrame, *, threads: int, gpu: bool = False
) -> pd.DataFrame:
    """Cases that the voxel engine computes, with its results: in an order in which each can start from the last one."""
    mine = []
    for index, material, size in _materials(cases):
        choice = choose(settings, scaled_to(microstructure, size), material)
        if choice.voxels:
            mine.append((choice.voxels, size, material.D_par / material.D_bulk, index, material))
    mine.sort(key=lambda case: case[:4])
    engine, tessellation, last = VoxelEngine(0, threads=threads, gpu=gpu), None, 0.0
    results = {}
    for voxels, size, _, index, material in _with_progress(mine, "voxel engine"):
        if voxels != engine.voxels:
            engine = VoxelEngine(voxels, threads=threads, gpu=gpu)
        if tessellation is None or size != last:
            tessellation, last = tessellate(scaled_to(microstructure, size)), size
        results[index] = engine.effective_diffusivity(tessellation, material)
    return _with_results(cases, results)


def with_interiors(microstructure: Microstructure, cases: pd.DataFrame) -> pd.DataFrame:
    """Cases with the diameter of what boundaries leave of grains."""
    interiors = {}
    for width, size in cases[["gb_width_nm", "grain_size_nm"]].drop_duplicates().itertuples(index=False):
        interiors[width, size] = interior_size_nm(tessellate(scaled_to(microstructure, size)), width)
    keys = zip(cases["gb_width_nm"], cases["grain_size_nm"], strict=True)
    return cases.assign(grain_interior_nm=[interiors[key] for key in keys])


def _materials(cases: pd.DataFrame) -> Iterable[tuple[int, GrainBoundaryMaterial, float]]:
    for index, row in zip(cases.index, cases.to_dict("records"), strict=True):
        bulk, along, across = (row[name] for name in DIFFUSIVITIES)
        yield index, GrainBoundaryMaterial(bulk, along, across, row["gb_width_nm"]), row["grain_size_nm"]


def _with_progress[Case](cases: list[Case], name: str) -> Iterable[Case]:
    """Cases with a bar on a terminal, and a line in the log whenever a tenth is done."""
    step = max(1, len(cases) // 10)
    for number, case in enumerate(tqdm(cases, desc=name, disable=None)):
        yield case
        if (number + 1) % step == 0:
            logger.info("%s: %d of %d cases", name, number + 1, len(cases))


def _with_results(cases: pd.DataFrame, results: dict[int, EffectiveDiffusivity]) -> pd.DataFrame:
    rows = [_row(result) for result in results.values()]
    columns = ["D_eff_cm2_per_s", *TENSOR, *EIGENVALUES, "engine", "discretization_error", "model_error"]
    return cases.join(pd.DataFrame(rows, index=list(results), columns=columns), how="inner").sort_index()


def _row(result: EffectiveDiffusivity) -> dict[str, float | str]:
    tensor = {name: float(result.tensor[place]) for name, place in zip(TENSOR, COMPONENTS, strict=True)}
    eigenvalues = dict(zip(EIGENVALUES, result.eigenvalues.tolist(), strict=True))
    return {
        "D_eff_cm2_per_s": result.mean,
        **tensor,
        **eigenvalues,
        "engine": result.engine,
        "discretization_error": result.discretization_error,
        "model_error": result.model_error,
    }
