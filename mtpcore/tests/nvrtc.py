"""NVIDIA's run-time compiler without a GPU: whether kernels compile, and what they take."""

import ctypes
import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple


class Resources(NamedTuple):
    """What a kernel takes: registers of a thread, bytes spilled (stored and loaded), bytes of its stack."""

    registers: int
    spilled: int
    stack: int


@cache
def nvrtc() -> ctypes.CDLL | None:
    """The library, of a wheel nvidia-cuda-nvrtc or of CUDA's own; None where there is none."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [str(path) for folder in folders for path in Path(folder).glob("*/lib/libnvrtc.so.*")]
    for name in [*found, "libnvrtc.so"]:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_for(architecture: str, source: str) -> dict[str, Resources]:
    """Resources of each kernel of a source, compiled to machine code."""
    library = nvrtc()
    assert library is not None
    program = ctypes.c_void_p()
    assert library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None) == 0
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17", b"--ptxas-options=-v"]
    code = library.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
    size = ctypes.c_size_t()
    library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    library.nvrtcGetProgramLog(program, log)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    text = log.value.decode()
    assert code == 0, text
    return dict(_kernels(text))


def _kernels(text: str) -> list[tuple[str, Resources]]:
    """A kernel's paragraph begins with its name; functions that it calls come first."""
    found = []
    for paragraph in text.split("Compiling entry function '")[1:]:
        name = paragraph.split("'")[0]
        own = paragraph.split(f"Function properties for {name}")[1]
        stack, stores, loads = map(int, re.findall(r"(\d+) bytes", own)[:3])
        (registers,) = re.findall(r"Used (\d+) registers", own)
        found.append((name, Resources(int(registers), stores + loads, stack)))
    return found
