"""The tables of the stage: one row per case, and both engines side by side where both were used."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

import argyro
from argyro.microstructure.model import Microstructure

from .cases import CASE, EIGENVALUES, TENSOR, with_interiors

TESSELLATION = ["microstructure", "tessellation"]
KEY = [*TESSELLATION, *CASE]
RESULT = ["D_eff_cm2_per_s", *TENSOR, *EIGENVALUES, "engine", "discretization_error", "model_error"]


def joined(interface: pd.DataFrame, voxel: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One row per case of the better engine, and all rows of cases that both engines computed.

    Where both are, the better one is the voxel engine, unless its grid leaves a larger error than the model of the
    interface engine; its model error becomes the difference of both.

    Args:
        interface: Results of the interface engine, with the columns of `KEY` and `RESULT`.
        voxel: The same of the voxel engine.
    """
    both = interface.merge(voxel, on=KEY, suffixes=("_interface", "_voxel"))
    prefer_voxel = both["discretization_error_voxel"] <= both["model_error_interface"]
    difference = (both["D_eff_cm2_per_s_interface"] - both["D_eff_cm2_per_s_voxel"]).abs()
    better = both[KEY].assign(engine=np.where(prefer_voxel, "voxel", "interface"), difference=difference)
    rows = pd.concat([interface, voxel], ignore_index=True)
    keys = pd.MultiIndex.from_frame(rows[KEY])
    comparison = rows[keys.isin(pd.MultiIndex.from_frame(both[KEY]))].sort_values([*KEY, "engine"])
    rows = rows.merge(better, on=KEY, how="left", suffixes=("", "_better"))
    rows = rows[rows["engine_better"].isna() | (rows["engine"] == rows["engine_better"])]
    own = rows["difference"].isna()
    rows["model_error"] = rows["model_error"].where(own, rows["difference"] / rows["D_eff_cm2_per_s"])
    table = rows.drop(columns=["engine_better", "difference"]).sort_values(KEY, ignore_index=True)
    return table, comparison.reset_index(drop=True)


def with_scatter(table: pd.DataFrame) -> pd.DataFrame:
    """Rows with the number of tessellations of their case, and the scatter of the mean diffusivity over them.

    The scatter is the standard deviation over tessellations, relative to their mean; missing for a single one.
    """
    groups = table.groupby(["microstructure", *CASE])["D_eff_cm2_per_s"]
    scatter = groups.transform("std") / groups.transform("mean")
    return table.assign(tessellations=groups.transform("size"), tessellation_scatter=scatter)


def collect(
    cells: Sequence[tuple[str, int]], parts: Sequence[tuple[Microstructure, pd.DataFrame, pd.DataFrame]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables of all tessellations.

    Args:
        cells: Name of the microstructure and number of the tessellation, of each.
        parts: Of each, its grains, and results of the interface and of the voxel engine.
    """
    tables, comparisons = [], []
    for (cell, number), (microstructure, *results) in zip(cells, parts, strict=True):
        names = {"microstructure": cell, "tessellation": number}
        table, comparison = joined(*(result.assign(**names) for result in results))
        tables.append(
            with_interiors(microstructure, table).assign(grains=microstructure.grains, seed=microstructure.seed)
        )
        comparisons.append(comparison)
    table = with_scatter(pd.concat(tables, ignore_index=True))
    return table.assign(argyro_version=argyro.__version__), pd.concat(comparisons, ignore_index=True)
