"""Where kernels run: on a GPU by CuPy, or on a processor, where they are emulated for tests."""

import ctypes
import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mtpcore.errors import MtpcoreError

type Array = Any  # of NumPy or CuPy
type Argument = Any  # of a kernel: an array or None, a Python integer (32 bits), a Python float (64), or np.uint64
DEFAULT_SHARED = 48 * 1024  # bytes that a block may have without being asked for
TOGETHER, OWN = 228 * 1024, 1024  # shared memory of a multiprocessor, and what each block needs besides
GUARD = 64  # numbers behind emulated shared memory that must stay as they are


class GpuError(MtpcoreError):
    """No GPU, no CuPy, too little memory on the card, or kernels that do not compile."""


class Kernels(Protocol):
    """Compiled kernels by their names."""

    def launch(self, name: str, blocks: int, threads: int, arguments: Sequence[Argument], *, shared: int = 0) -> None:
        """Run a kernel; ``shared`` is in bytes."""


class Backend(Protocol):
    """Arrays and kernels of one device.

    Attributes:
        xp: NumPy or CuPy.
        name: Of the device.
    """

    xp: Any
    name: str

    def __hash__(self) -> int:
        """A device is itself only."""

    def compile(self, source: str) -> Kernels:
        """Kernels of a source text."""

    def to_host(self, array: Array) -> np.ndarray:
        """A copy in the processor's memory."""

    def synchronize(self) -> None:
        """Wait for all kernels."""

    def memory(self) -> tuple[int, int]:
        """Bytes free and in all."""


# ------------------------------------------------------------------ GPU


class CupyKernels:
    """A module that CuPy has compiled."""

    def __init__(self, cupy: Any, source: str) -> None:
        self._driver = cupy.cuda.driver
        self._module = cupy.RawModule(code=source)
        self._module.compile()
        self._functions: dict[tuple[str, int, int], Any] = {}

    def launch(self, name: str, blocks: int, threads: int, arguments: Sequence[Argument], *, shared: int = 0) -> None:
        """Run a kernel."""
        key = name, threads, shared
        if key not in self._functions:
            self._functions[key] = self._function(*key)
        if blocks > 0:
            values = tuple(map(self._argument, arguments))
            self._functions[key]((blocks,), (threads,), values, shared_mem=shared)

    def _function(self, name: str, threads: int, shared: int) -> Any:
        """A kernel; of the memory on chip as much is shared as the blocks side by side need, the rest is cache."""
        function = self._module.get_function(name)
        if shared:
            if shared > max(DEFAULT_SHARED, function.max_dynamic_shared_size_bytes):
                function.max_dynamic_shared_size_bytes = shared
            function.preferred_shared_memory_carveout = 100  # percent
            together = self._driver.occupancyMaxActiveBlocksPerMultiprocessor(function.kernel.ptr, threads, shared)
            needed = 100 * together * (shared + OWN)
            function.preferred_shared_memory_carveout = min(100, -(-needed // TOGETHER))
        return function

    @staticmethod
    def _argument(value: Argument) -> Any:
        if value is None:
            return np.intp(0)
        return np.int32(value) if isinstance(value, int) else value


class CupyBackend:
    """An NVIDIA GPU.

    Raises:
        GpuError: CuPy is not installed, or finds no GPU.
    """

    def __init__(self) -> None:
        try:
            cupy = import_module("cupy")
        except ImportError as error:
            raise GpuError(f"CuPy is missing ({error}): pip install 'mtpcore[gpu]'") from None
        try:
            properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())
        except cupy.cuda.runtime.CUDARuntimeError as error:
            raise GpuError(f"no GPU that CuPy can use: {error}") from None
        self.xp: Any = cupy
        self.name: str = properties["name"].decode()

    def compile(self, source: str) -> CupyKernels:
        """Kernels of a source text; CuPy keeps what it has compiled on disk."""
        try:
            kernels = CupyKernels(self.xp, source)
        except self.xp.cuda.compiler.CompileException as error:
            raise GpuError(f"kernels do not compile for {self.name}: {error}") from None
        return kernels

    def to_host(self, array: Array) -> np.ndarray:
        """A copy in the processor's memory."""
        return np.asarray(self.xp.asnumpy(array))

    def synchronize(self) -> None:
        """Wait for all kernels."""
        self.xp.cuda.get_current_stream().synchronize()

    def memory(self) -> tuple[int, int]:
        """Bytes free, those that CuPy keeps for later included, and in all."""
        free, total = self.xp.cuda.runtime.memGetInfo()
        return free + self.xp.get_default_memory_pool().free_bytes(), total


# ------------------------------------------------------------------ emulation


class EmulatedKernels:
    """A shared library of kernels whose threads run one after another."""

    def __init__(self, library: Path, *, is_reversed: bool) -> None:
        self._library = ctypes.CDLL(str(library))
        self._order = int(is_reversed)
        self._shared = np.zeros(1 << 16)

    def launch(self, name: str, blocks: int, threads: int, arguments: Sequence[Argument], *, shared: int = 0) -> None:
        """Run a kernel. Shared memory begins as NaN: what is read was written.

        Raises:
            GpuError: the kernel has written behind its shared memory.
        """
        size = -(-shared // 8)
        if size + GUARD > len(self._shared):
            self._shared = np.zeros(size + GUARD)
        self._shared[: size + GUARD] = np.nan
        pointer = ctypes.c_void_p(self._shared.ctypes.data)
        self._library.emulate(ctypes.c_int(blocks), ctypes.c_int(threads), ctypes.c_int(self._order), pointer)
        getattr(self._library, name)(*map(_c_argument, arguments))
        if not np.isnan(self._shared[size : size + GUARD]).all():
            raise GpuError(f"the kernel {name} has written behind its {shared} bytes of shared memory")


def _c_argument(value: Argument) -> Any:
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise ValueError("kernels take contiguous arrays only")
        return ctypes.c_void_p(value.ctypes.data)
    if value is None:
        return ctypes.c_void_p(None)
    kinds: Mapping[type, Callable[[Any], Any]] = {int: ctypes.c_int, float: ctypes.c_double, np.uint64: ctypes.c_uint64}
    return kinds[type(value)](value)


class EmulatedBackend:
    """A processor that runs the kernels thread by thread: slow, for tests.

    Args:
        is_reversed: Run threads and blocks backwards; results agree to the last bit where no thread reads what another
            writes in the same phase.
        folder: Where compiled kernels are kept; by default in the temporary folder, by the hash of their source.
        flags: More arguments of the compiler, such as sanitizers.
    """

    def __init__(self, *, is_reversed: bool = False, folder: Path | None = None, flags: Sequence[str] = ()) -> None:
        self.xp: Any = np
        self.name = "emulation"
        self._reversed = is_reversed
        self._folder = folder or Path(tempfile.gettempdir()) / f"mtpcore-emulation-{os.getuid()}"
        self._flags = ["-std=c++17", "-O0", "-ffp-contract=off", "-w", "-shared", "-fPIC", "-DMTP_EMULATED", *flags]

    def compile(self, source: str) -> EmulatedKernels:
        """Kernels of a source text.

        Raises:
            GpuError: there is no C++ compiler, or it reports an error.
        """
        compiler = os.environ.get("CXX", "g++")
        digest = hashlib.sha256("\0".join([source, compiler, *self._flags]).encode()).hexdigest()[:20]
        library = self._folder / f"{digest}.so"
        if not library.exists():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
                text, built = Path(scratch, "kernels.cpp"), Path(scratch, "kernels.so")
                text.write_text(source, "utf-8")
                command = [compiler, *self._flags, str(text), "-o", str(built)]
                _run_compiler(command)
                built.replace(library)
        return EmulatedKernels(library, is_reversed=self._reversed)

    def to_host(self, array: Array) -> np.ndarray:
        """A copy."""
        return np.array(array)

    def synchronize(self) -> None:
        """Nothing runs beside the caller."""

    def memory(self) -> tuple[int, int]:
        """Bytes free and in all."""
        page = os.sysconf("SC_PAGE_SIZE")
        return page * os.sysconf("SC_AVPHYS_PAGES"), page * os.sysconf("SC_PHYS_PAGES")


def _run_compiler(command: list[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  our own command
    except FileNotFoundError:
        raise GpuError(f"kernels are emulated with a C++ compiler; there is no {command[0]}") from None
    if result.returncode != 0:
        raise GpuError(f"{' '.join(command)} failed:\n{result.stderr[-2000:]}")
