"""State of a fit on disk, so that a killed fit loses at most one segment."""

import hashlib
import os
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import CheckpointError
from .methods import State
from .potential import Potential, get_parameters

type FloatArray = npt.NDArray[np.float64]

FORMAT = "mtpcore-fit/2"


@dataclass
class Checkpoint:
    """All that the rest of a fit depends on.

    Attributes:
        state: Of the minimisation.
        history: Columns of the table of iterations.
        hops_left: Hops without success that a cold start's search still allows; the minimisation proper begins at 0.
        reason: Why the fit ended; empty while it runs.
    """

    state: State
    history: dict[str, list[float]]
    hops_left: int = 0
    reason: str = ""

    @property
    def loss(self) -> float:
        """Loss of the current parameters."""
        return self.history["loss"][-1]

    def last(self) -> dict[str, float]:
        """The newest line of the history."""
        return {name: values[-1] for name, values in self.history.items()}


def problem_key(potential: Potential, fingerprint: str, settings: Any, reference: FloatArray) -> str:
    """Hash of everything that defines a fit, except how long it runs and on how many threads."""
    numbers = (
        (FORMAT, fingerprint, settings.method, settings.weights, settings.seed, settings.hops, settings.regularization),
        (potential.trained, potential.scaling, potential.min_dist, potential.max_dist),
    )
    digest = hashlib.sha256(repr(numbers).encode())
    tables = (potential.alpha_index_basic, potential.alpha_index_times, potential.alpha_moment_mapping)
    for array in (*tables, get_parameters(potential), reference):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def write_checkpoint(path: Path, key: str, checkpoint: Checkpoint) -> None:
    """Write to a temporary name and rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.npz")
    state = checkpoint.state
    arrays: dict[str, Any] = {f"history_{name}": np.array(values) for name, values in checkpoint.history.items()}
    arrays |= {f"state_{name.name}": getattr(state, name.name) for name in fields(state)}
    arrays |= {
        "hops_left": checkpoint.hops_left,
        "key": key,
        "reason": checkpoint.reason,
        "format": FORMAT,
    }
    try:
        np.savez(temporary, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path, key: str, state_type: type[State]) -> Checkpoint:
    """Read the state of the fit with this key.

    Args:
        path: The file.
        key: Of the fit, see :func:`problem_key`.
        state_type: Of the fit's method.

    Raises:
        CheckpointError: the file is damaged, or belongs to other data, weights or another start.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path} is not a readable checkpoint ({error}): delete it to start anew") from None
    if str(arrays.get("format")) != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this version: delete it to start anew")
    if str(arrays["key"]) != key:
        raise CheckpointError(
            f"{path} belongs to a fit with other data, weights, settings or another start: "
            "delete it or name another file"
        )
    history = {name[8:]: values.tolist() for name, values in arrays.items() if name.startswith("history_")}
    values = {name[6:]: value for name, value in arrays.items() if name.startswith("state_")}
    state = state_type(**{name: value if value.ndim else value.item() for name, value in values.items()})
    return Checkpoint(state, history, int(arrays["hops_left"]), str(arrays["reason"]))
