"""From CUDA C++ to a launch: NVRTC and the driver, through the library by which torch itself reaches both.

What was compiled once is kept beside Triton's kernels, in its cache.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from pathlib import Path

import torch
from triton import knobs

from modeling.durable import replacing

SHARED = 48 * 1024  # bytes that a block may have without asking
_DYNAMIC_SHARED, _OVERLAP = 8, 6  # CU_FUNC_ATTRIBUTE_…_DYNAMIC_SHARED_SIZE_BYTES, CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_…


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute: which one, and its value, of up to 64 bytes."""

    _fields_ = (("id", ctypes.c_int), ("padding", ctypes.c_int), ("value", ctypes.c_int), ("rest", ctypes.c_char * 60))


class _Launch(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    )


@cache
def _library() -> ctypes.CDLL | None:
    """What has NVRTC's functions and the driver's, or None."""
    if torch.version.cuda is None or not torch.cuda.is_available():
        return None
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libcaffe2_nvrtc.so"))
        for name in ("nvrtcCompileProgram", "nvrtcGetCUBIN", "cuModuleLoadData", "cuLaunchKernelEx"):
            getattr(library, name)
    except (OSError, AttributeError):
        return None
    return library


def available() -> bool:
    """Whether there is a compiler and a device to compile for."""
    return _library() is not None


class Kernel:
    """A function on one device."""

    def __init__(self, handle: ctypes.c_void_p, device: int, warps: int, shared: int, overlap: bool) -> None:
        self._handle, self._device, self._warps, self._shared, self._overlap = handle, device, warps, shared, overlap

    def __call__(self, grid: tuple[int, int, int], arguments: ctypes.Structure) -> None:
        """Enqueue it on the current stream; its one parameter is `arguments`, by value."""
        overlap = _Attribute(id=_OVERLAP, value=1)
        launch = _Launch(
            grid=grid,
            block=(32 * self._warps, 1, 1),
            shared=self._shared,
            stream=torch.cuda.current_stream(self._device).cuda_stream,
            attributes=ctypes.pointer(overlap) if self._overlap else None,
            count=int(self._overlap),
        )
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(arguments))
        _call("cuLaunchKernelEx", ctypes.byref(launch), self._handle, parameters, None)


def kernel_of(
    source: Path, name: str, device: int, definitions: Mapping[str, object], *, warps: int, shared: int, overlap: bool
) -> Kernel:
    """The function `name` of a file for a device, whose blocks have so many warps and bytes of shared memory; `overlap`: it
    begins before the kernel ahead has ended (programmatic dependent launch). Raises `RuntimeError` with the compiler's words.
    """
    major, minor = torch.cuda.get_device_capability(device)
    options = (f"-arch=sm_{major}{minor}", "-std=c++17", *(f"-D{key}={value}" for key, value in definitions.items()))
    binary, handle = _kept(source, options), ctypes.c_void_p()
    with torch.cuda.device(device):
        torch.cuda.current_stream().synchronize()  # whoever asks the driver needs torch's context to be there
        module = ctypes.c_void_p()
        _call("cuModuleLoadData", ctypes.byref(module), binary)
        _call("cuModuleGetFunction", ctypes.byref(handle), module, name.encode())
        if shared > SHARED:
            _call("cuFuncSetAttribute", handle, _DYNAMIC_SHARED, shared)
    return Kernel(handle, device, warps, shared, overlap)


def _kept(source: Path, options: tuple[str, ...]) -> bytes:
    """The binary from the cache, or else compiled and put there if it can be; behind its own hash, as files get damaged."""
    version = (ctypes.c_int * 2)()
    _call("nvrtcVersion", ctypes.byref(version), ctypes.byref(version, ctypes.sizeof(ctypes.c_int)))
    key = sha256("\0".join((*map(str, version), *options)).encode() + source.read_bytes()).hexdigest()
    file = Path(knobs.cache.dir) / f"{source.stem}-{key}.cubin"
    with suppress(OSError):
        digest, binary = (content := file.read_bytes())[:32], content[32:]
        if sha256(binary).digest() == digest:
            return binary
    binary = _compiled(source, options)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with replacing(file) as target:
            target.write(sha256(binary).digest() + binary)
    return binary


def _compiled(source: Path, options: tuple[str, ...]) -> bytes:
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    _call("nvrtcCreateProgram", ctypes.byref(program), source.read_bytes(), source.name.encode(), 0, None, None)
    try:
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        library = _library()
        assert library is not None
        if library.nvrtcCompileProgram(program, len(words), words):
            _call("nvrtcGetProgramLogSize", program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            _call("nvrtcGetProgramLog", program, log)
            raise RuntimeError(f"{source.name} does not compile: {log.value.decode()}")
        _call("nvrtcGetCUBINSize", program, ctypes.byref(size))
        binary = ctypes.create_string_buffer(size.value)
        _call("nvrtcGetCUBIN", program, binary)
        return binary.raw
    finally:
        _call("nvrtcDestroyProgram", ctypes.byref(program))


def _call(name: str, *arguments: object) -> None:
    library = _library()
    assert library is not None
    if code := getattr(library, name)(*arguments):
        raise RuntimeError(f"{name} failed with error {code}")
