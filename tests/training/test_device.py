"""What `auto` chooses on machines that are planted, why a device or precision is refused, and memory that runs out."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from transformers import DistilBertForSequenceClassification as Classifier

from repro.errors import DeviceError, OutOfMemoryError
from repro.sections.context import Context
from repro.spec import Device, Precision
from repro.training.device import report_out_of_memory, resolve_device
from tests.running import measure

PLANTED = tomllib.loads(Path(__file__).with_name("machines.toml").read_text(encoding="utf-8"))
MACHINES = PLANTED["machines"]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A processor's capabilities, and GPUs by name; `auto` and `refused` are what machines.toml expects."""

    capabilities: Mapping[str, object]
    gpus: Sequence[str] = ()
    gpu_bf16: bool = False
    free_mib: int = 14_000
    auto: Sequence[str] = ()
    refused: Sequence[Sequence[str]] = ()


LAPTOP = Machine(**MACHINES["AVX2 laptop"])
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
def test_auto_takes_native_arithmetic_and_an_imitated_one_is_refused(name: str, plant: Plant) -> None:
    machine = Machine(**MACHINES[name])
    plant(machine)
    choice = resolve_device()
    assert [choice.device, choice.precision] == machine.auto
    assert choice.reason.startswith(machine.gpus[0] if machine.gpus else "no GPU")
    assert "\n" not in choice.reason
    assert resolve_device(choice.device, choice.precision).precision == choice.precision
    for kind, precision, reason, remedy in machine.refused:
        with pytest.raises(DeviceError, match=rf"(?s)--precision {precision}.*{reason}[^\n]*\n.*{remedy}"):
            resolve_device(Device(kind), Precision(precision))


@pytest.mark.parametrize("case", PLANTED["unusable"], ids=lambda case: case["reason"])
def test_a_missing_gpu_is_refused_with_the_reason(
    case: dict[str, str], plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(LAPTOP)
    monkeypatch.setattr(torch.version, "cuda", case.get("cuda"))
    monkeypatch.setattr(torch.cuda, "init", Mock(side_effect=RuntimeError(case.get("error", ""))))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if "visible" in case:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", case["visible"])
    with pytest.raises(DeviceError, match=f"{case['reason']}[^\n]*\n.*{case['remedy']}"):
        resolve_device(Device.CUDA)
    choice = resolve_device()
    assert choice.device == "cpu"
    assert case["reason"] in choice.reason


TWO = replace(LAPTOP, gpus=("NVIDIA A100", "Tesla T4"), gpu_bf16=True)


@pytest.mark.parametrize(
    ("machine", "processes", "reason", "remedy"),
    [
        (TWO, 2, "GPUs of different kinds: NVIDIA A100, Tesla T4", "CUDA_VISIBLE_DEVICES"),
        (TWO, 4, "4 processes share 2 GPUs", "one process for each GPU"),
        (replace(LAPTOP, gpus=("Tesla T4",), free_mib=2_000), 1, "2,000 MiB free", "--device cpu"),
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
