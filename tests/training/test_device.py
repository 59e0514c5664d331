"""What `auto` chooses on machines that are planted, why a device or precision is refused, and memory that runs out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import Mock

import pytest
import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.errors import DeviceError, OutOfMemoryError
from repro.sections.context import Context
from repro.spec import Device, Precision
from repro.training.device import report_out_of_memory, resolve_device
from tests.running import measure

AVX2 = {"avx2": True, "avx512_bf16": False, "amx_bf16": False, "cpu_name": "a laptop"}


class Machine(NamedTuple):
    """A processor's capabilities, and GPUs by name, with or without bf16 arithmetic."""

    capabilities: Mapping[str, object]
    gpus: tuple[str, ...] = ()
    gpu_bf16: bool = False
    free_mib: int = 14_000


MACHINES = {
    "AVX2 laptop": (Machine(AVX2), "cpu", "fp32"),
    "Arm laptop": (Machine({"neon": True, "bf16": True, "sve": False}), "cpu", "bf16"),
    "old Arm laptop": (Machine({"neon": True, "bf16": False}), "cpu", "fp32"),
    "a torch that can't say": (Machine({}), "cpu", "fp32"),
    "AVX512-bf16 server": (Machine(AVX2 | {"avx512_bf16": True}), "cpu", "bf16"),
    "AMX server": (Machine(AVX2 | {"amx_bf16": True}), "cpu", "bf16"),
    "T4": (Machine(AVX2, ("Tesla T4",)), "cuda", "fp16"),
    "Ampere": (Machine(AVX2, ("NVIDIA A100",), gpu_bf16=True), "cuda", "bf16"),
}
Plant = Callable[[Machine], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Let torch see another machine than this one."""

    def planted(machine: Machine) -> None:
        seen: dict[str, Callable[..., object]] = {
            "cpu.get_capabilities": lambda: machine.capabilities,
            "cuda.is_available": lambda: bool(machine.gpus),
            "cuda.device_count": lambda: len(machine.gpus),
            "cuda.get_device_name": lambda number=0: machine.gpus[number],
            "cuda.mem_get_info": lambda number=0: (machine.free_mib << 20, 16 << 30),
            # a T4 claims it, and imitates it
            "cuda.is_bf16_supported": lambda including_emulation=True: machine.gpu_bf16 or including_emulation,
        }
        for name, answer in seen.items():
            monkeypatch.setattr(f"torch.{name}", answer, raising=False)

    return planted


@pytest.mark.parametrize("name", MACHINES)
def test_auto_takes_the_fastest_native_arithmetic(name: str, plant: Plant) -> None:
    machine, kind, precision = MACHINES[name]
    plant(machine)
    choice = resolve_device()
    assert (choice.device, choice.precision) == (kind, precision)
    assert choice.reason.startswith(machine.gpus[0] if machine.gpus else "no GPU")
    assert "\n" not in choice.reason
    assert resolve_device(choice.device, choice.precision).precision == choice.precision


@pytest.mark.parametrize(
    ("name", "kind", "precision", "reason", "remedy"),
    [
        ("AVX2 laptop", "cpu", "bf16", "neither bf16 nor fp16 arithmetic", "--precision fp32"),
        ("AVX2 laptop", "cpu", "fp16", "neither bf16 nor fp16 arithmetic", "--precision fp32"),
        ("AMX server", "cpu", "fp16", "none of fp16", "--precision bf16"),
        ("T4", "cuda", "bf16", "no bf16 arithmetic", "--precision fp16"),
        ("T4", "auto", "bf16", "no bf16 arithmetic", "--precision fp16"),
    ],
)
def test_an_imitated_precision_is_refused_with_the_fast_one_named(
    name: str, kind: str, precision: str, reason: str, remedy: str, plant: Plant
) -> None:
    plant(MACHINES[name][0])
    with pytest.raises(DeviceError, match=rf"(?s)--precision {precision}.*{reason}[^\n]*\n.*{remedy}"):
        resolve_device(Device(kind), Precision(precision))


DRIVER = "Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver"
OLD = "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver"
UNUSABLE = [  # torch's CUDA, CUDA_VISIBLE_DEVICES, what torch says; the reason and the remedy in our error
    (None, None, "", "is a build for the CPU alone", "CUDA build"),
    ("13.0", "", "", "CUDA_VISIBLE_DEVICES='' hides every GPU", "Unset"),
    ("13.0", None, DRIVER, "Found no NVIDIA driver on your system", "Install or update the NVIDIA driver"),
    ("13.0", None, OLD, "for CUDA 13.0 cannot use a GPU: The NVIDIA driver on your system is too old", "or update"),
]


@pytest.mark.parametrize(("cuda", "visible", "error", "reason", "remedy"), UNUSABLE)
def test_a_missing_gpu_is_refused_with_the_reason(
    cuda: str | None,
    visible: str | None,
    error: str,
    reason: str,
    remedy: str,
    plant: Plant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(Machine(AVX2))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "init", Mock(side_effect=RuntimeError(error)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError, match=f"{reason}[^\n]*\n.*{remedy}"):
        resolve_device(Device.CUDA)
    choice = resolve_device()
    assert choice.device == "cpu"
    assert reason in choice.reason


TWO = Machine(AVX2, ("NVIDIA A100", "Tesla T4"), gpu_bf16=True)


@pytest.mark.parametrize(
    ("machine", "processes", "reason", "remedy"),
    [
        (TWO, 2, "GPUs of different kinds: NVIDIA A100, Tesla T4", "CUDA_VISIBLE_DEVICES"),
        (TWO, 4, "4 processes share 2 GPUs", "one process for each GPU"),
        (Machine(AVX2, ("Tesla T4",), free_mib=2_000), 1, "2,000 MiB free", "--device cpu"),
    ],
)
def test_gpus_that_cannot_do_the_run_are_refused(
    machine: Machine, processes: int, reason: str, remedy: str, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(machine)
    assert processes == 1 or resolve_device(Device.CUDA).precision == "bf16"  # alone the first GPU does
    for variable, value in {"RANK": 0, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}.items():
        monkeypatch.setenv(variable, str(value))
    with pytest.raises(DeviceError, match=f"{reason}[^\n]*\n.*{remedy}"):
        resolve_device(Device.CUDA)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("Tried to allocate 2.00 GiB."),  # its kind says it
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory"),
        MemoryError(),
    ],
)
def test_a_step_without_memory_names_the_step_and_micro_batches(
    error: BaseException, tiny_context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Classifier.forward

    def starved(self: Any, *arguments: Any, **named: Any) -> Any:
        if self.training and len(named["labels"]) > 8:
            raise error
        return forward(self, *arguments, **named)

    monkeypatch.setattr(Classifier, "forward", starved)
    context = replace(tiny_context, recipe=replace(tiny_context.recipe, batch_size=16))
    with pytest.raises(OutOfMemoryError, match=r"training step 1: out of memory\n.*--micro-batches 2") as caught:
        measure("finetune", context)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes differ"), ValueError("out of memory")])
def test_errors_that_are_not_of_memory_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)), report_out_of_memory("a step"):
        raise error
