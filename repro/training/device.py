"""Device, precision, memory and processes: what `auto` means here, and why something can't be used.

A launcher (torchrun, `accelerate launch`) tells each process its number in the environment; through Accelerate the
processes share every global batch.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from repro.errors import DeviceError, OutOfMemoryError, ProcessLostError, UsageError
from repro.spec import Device, Precision

# DistilBERT: tensors took 3,503 MiB at the most on an H100 in fp16, the gradients of six graphs among them; the rest is
# CUDA's context and kernels, and what the allocator holds beside
NEEDED_MIB = 5_120
# bf16 arithmetic by the names of torch.cpu.get_capabilities, x86's and Arm's
BF16_CAPABILITIES = ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "sve_bf16")
OUT_OF_MEMORY = re.compile(r"not enough memory|DefaultCPUAllocator|out of memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE)
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
KEPT_BYTES = 2**31 - 1  # at the end of the heap; the most that mallopt takes
LARGE_BYTES = 128 << 20  # a tensor larger than any of a step's has memory of its own, which goes back when it is freed
WAIT_SECONDS = 1_800  # the main process may work alone for as long, on hidden states or their projection
LOST = re.compile(r"gloo|nccl|connection (was )?(closed|reset|refused)|broken pipe|timed? ?out|remote process", re.I)


@dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """The device and precision of a run, neither of them `auto`, and why, in one line for people."""

    device: Device
    precision: Precision
    reason: str


def resolve_device(device: Device = Device.AUTO, precision: Precision = Precision.AUTO) -> DeviceChoice:
    """Choose what `auto` leaves open: a usable GPU before the CPU, and the fastest arithmetic that is native there.

    DeviceError where a GPU was asked for and can't be used, with the reason, or where the precision that was asked for
    is only imitated, or missing, on the device; the fast one is named.
    """
    problem = None if device is Device.CPU else gpu_problem()
    if device is Device.CUDA and problem is not None:
        raise problem
    if device is Device.CPU or problem is not None:
        why = f"no GPU: {problem.what}" if problem else "the CPU was asked for"
        device = Device.CPU
    else:
        why, device = torch.cuda.get_device_name(local_rank()), Device.CUDA
    native, arithmetic = _native_precisions(device)
    if precision is Precision.AUTO:
        precision = native[0]
    elif precision not in native:
        raise DeviceError(
            f"--precision {precision}: {arithmetic}",
            f"Choose --precision {native[0]}, the fastest here, or auto.",
        )
    return DeviceChoice(device=device, precision=precision, reason=f"{why}; {arithmetic}")


def _native_precisions(device: Device) -> tuple[tuple[Precision, ...], str]:
    """Return the precisions that the device computes natively, the fastest first, and a sentence about them."""
    if device is Device.CUDA:
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return (Precision.BF16, Precision.FP16, Precision.FP32), "it has bf16 arithmetic"
        return (Precision.FP16, Precision.FP32), "it has no bf16 arithmetic and would imitate it"
    capabilities: Mapping[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch can't say
    if any(capabilities.get(name) for name in BF16_CAPABILITIES):
        return (Precision.BF16, Precision.FP32), "this processor has bf16 arithmetic and none of fp16"
    return (Precision.FP32,), "this processor has neither bf16 nor fp16 arithmetic and would imitate it"


def gpu_problem() -> DeviceError | None:
    """Return why the GPUs of this machine can't be used, None where they can."""
    if not torch.cuda.is_available():
        return _no_gpu()
    processes = int(os.environ.get("LOCAL_WORLD_SIZE") or process_count())
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    if processes > len(names):
        return DeviceError(
            f"{processes} processes share {len(names)} GPU{'s' * (len(names) > 1)}",
            "Start one process for each GPU.",
        )
    if len(kinds := sorted(set(names[:processes]))) > 1:
        return DeviceError(
            f"{processes} processes would train on GPUs of different kinds: {', '.join(kinds)}",
            "Choose GPUs of one kind with CUDA_VISIBLE_DEVICES: their arithmetic differs, the slowest sets the pace.",
        )
    own = local_rank()  # asking another GPU would put this process's context there
    free_mib = torch.cuda.mem_get_info(own)[0] >> 20
    if free_mib < NEEDED_MIB:
        return DeviceError(
            f"{names[own]} has {free_mib:,} MiB free, and a run takes about {NEEDED_MIB:,} MiB",
            "End what uses the GPU (nvidia-smi lists it), or choose --device cpu.",
        )
    return None


def _no_gpu() -> DeviceError:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if torch.version.cuda is None:
        what = f"torch {torch.__version__} is a build for the CPU alone"
        remedy = "Install a CUDA build of torch (pytorch.org says which)"
    elif visible is not None and (not visible.strip() or visible.strip().startswith("-1")):
        what, remedy = f"CUDA_VISIBLE_DEVICES={visible!r} hides every GPU", "Unset CUDA_VISIBLE_DEVICES"
    else:
        try:
            torch.cuda.init()  # says in its error what is missing
            why = "it lists none"
        except (RuntimeError, AssertionError) as error:
            why = str(error).partition(". ")[0].strip().rstrip(".")
        what = f"torch {torch.__version__} for CUDA {torch.version.cuda} cannot use a GPU: {why}"
        remedy = "Install or update the NVIDIA driver, or install a build of torch for its CUDA"
    return DeviceError(what, f"{remedy}, or choose --device cpu.")


def leave_out_cudnn(device: str) -> None:
    """Keep cuDNN's attention out on a GPU: it makes a plan for every new shape of (texts, longest), up to a second."""
    if device == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)


def make_accelerator(*, device: str, precision: str) -> Accelerator:
    """Return an Accelerator for `cpu` or `cuda`, in fp32, or in bf16 or fp16 autocast (which scales the loss)."""
    leave_out_cudnn(device)
    with watched(process_count()):  # they meet here
        return Accelerator(
            cpu=device == "cpu",
            mixed_precision="no" if precision == "fp32" else str(precision),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=wait_time())],
        )


@contextmanager
def report_out_of_memory(what: str) -> Iterator[None]:
    """Turn memory that runs out within the block into OutOfMemoryError, which names --micro-batches."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, torch.OutOfMemoryError | MemoryError) or OUT_OF_MEMORY.search(str(error))):
            raise
        raise OutOfMemoryError(
            f"{what}: out of memory",
            "Split each batch with --micro-batches 2 (or 4, 8, …; its gradients add up to the same), end other "
            "programs, or start fewer processes.",
        ) from None


def keep_freed_memory() -> None:
    """Let what a step frees serve the next one, instead of going back to the system to be zeroed again (glibc only).

    A step of DistilBERT's architecture meets under 2,000 page faults with it, over 28,000 without.
    """
    with suppress(OSError, AttributeError, TypeError):  # no glibc; on Windows no library of that name
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def return_freed_memory() -> None:
    """Give back what is freed but lies between what is not, as batches of ever other sizes leave it (glibc only)."""
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def process_count() -> int:
    """Return how many processes the launcher started, 1 without one; UsageError for numbers that can't be."""
    rank, count = os.environ.get("RANK", "0"), os.environ.get("WORLD_SIZE", "1")
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise UsageError(
            f"RANK={rank}, WORLD_SIZE={count}: expected a process's number below their count",
            "Let torchrun or accelerate launch set these variables.",
        )
    return int(count)


def local_rank() -> int:
    """Return this process's number on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def check_processes(batch_size: int, count: int) -> None:
    """Raise UsageError unless `count` processes can share the global batch evenly."""
    if batch_size % count:
        *fitting, last = [str(n) for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise UsageError(
            f"{count} processes: the global batch of {batch_size} rows cannot be shared evenly; nothing was run",
            f"Start {', '.join(fitting)} or {last} processes.",
        )


def process_seed(seed: int, process: int) -> int:
    """Return the seed that a process draws its dropout from: `seed` itself for the main one.

    torch's generator on the CPU begins from a seed's low 32 bits alone; these differ from process to process.
    """
    return int(np.random.SeedSequence([seed, process]).generate_state(1)[0]) if process else seed


def wait_time() -> timedelta:
    """Return how long a process waits for the others before it gives up; REPRO_WAIT_SECONDS is in seconds."""
    seconds = os.environ.get("REPRO_WAIT_SECONDS", str(WAIT_SECONDS))
    if not (seconds.isdecimal() and 0 < int(seconds) < 10**6):
        raise UsageError(f"REPRO_WAIT_SECONDS={seconds}: expected a whole number of seconds", f"Try {WAIT_SECONDS}.")
    return timedelta(seconds=int(seconds))


@contextmanager
def watched(count: int) -> Iterator[None]:
    """Turn what torch says when one of `count` processes is lost into ProcessLostError."""
    try:
        yield
    except RuntimeError as error:
        if count == 1 or not LOST.search(str(error)):
            raise
        raise ProcessLostError(
            f"one of {count} processes ended or no longer answers ({str(error).strip().splitlines()[0][:120]})",
            "See what the first one said, then start the same command again: saved states and records are untouched.",
        ) from None
