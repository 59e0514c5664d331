"""What `auto` chooses on machines that are planted, and why a device or precision is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch

from repro.errors import DeviceError
from repro.spec import Device, Precision
from repro.training import device
from repro.training.device import accelerator_facts, peak_device_mib, resolve_device

AVX2 = {"avx2": True, "avx512_bf16": False, "amx_bf16": False, "cpu_name": "a laptop"}
FREE_MIB = 14_000


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A processor's capabilities, and GPUs by name, with or without bf16 arithmetic."""

    capabilities: Mapping[str, object]
    gpus: tuple[str, ...] = ()
    gpu_bf16: bool = False
    free_mib: int = FREE_MIB


MACHINES = {
    "AVX2 laptop": (Machine(capabilities=AVX2), "cpu", "fp32"),
    "Arm laptop": (Machine(capabilities={"neon": True, "bf16": True, "sve": False}), "cpu", "bf16"),
    "old Arm laptop": (Machine(capabilities={"neon": True, "bf16": False}), "cpu", "fp32"),
    "a torch that can't say": (Machine(capabilities={}), "cpu", "fp32"),
    "AVX512-bf16 server": (Machine(capabilities=AVX2 | {"avx512_bf16": True}), "cpu", "bf16"),
    "AMX server": (Machine(capabilities=AVX2 | {"amx_bf16": True}), "cpu", "bf16"),
    "T4": (Machine(capabilities=AVX2, gpus=("Tesla T4",)), "cuda", "fp16"),
    "Ampere": (Machine(capabilities=AVX2, gpus=("NVIDIA A100",), gpu_bf16=True), "cuda", "bf16"),
}


Plant = Callable[[Machine], None]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Let torch see another machine than this one."""

    def planted(machine: Machine) -> None:
        def supports_bf16(including_emulation: bool = True) -> bool:
            return machine.gpu_bf16 or including_emulation  # a T4 claims it, and imitates it

        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: machine.capabilities, raising=False)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(machine.gpus))
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(machine.gpus))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda number=0: machine.gpus[number])
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", supports_bf16)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number=0: (machine.free_mib << 20, 16 << 30))

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


REFUSED = [
    ("AVX2 laptop", "cpu", "bf16", "neither bf16 nor fp16 arithmetic", "--precision fp32"),
    ("AVX2 laptop", "cpu", "fp16", "neither bf16 nor fp16 arithmetic", "--precision fp32"),
    ("AMX server", "cpu", "fp16", "none of fp16", "--precision bf16"),
    ("T4", "cuda", "bf16", "no bf16 arithmetic", "--precision fp16"),
    ("T4", "auto", "bf16", "no bf16 arithmetic", "--precision fp16"),
]


@pytest.mark.parametrize(("name", "kind", "precision", "reason", "remedy"), REFUSED)
def test_an_imitated_precision_is_refused_with_the_fast_one_named(
    name: str, kind: str, precision: str, reason: str, remedy: str, plant: Plant
) -> None:
    plant(MACHINES[name][0])
    with pytest.raises(DeviceError) as refused:
        resolve_device(Device(kind), Precision(precision))
    assert f"--precision {precision}" in refused.value.what
    assert reason in refused.value.what
    assert remedy in refused.value.remedy
    assert refused.value.exit_code == 2


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
    def init() -> None:
        raise RuntimeError(error)

    plant(Machine(capabilities=AVX2))
    monkeypatch.setattr(torch.version, "cuda", cuda)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(DeviceError) as refused:
        resolve_device(Device.CUDA)
    assert reason in refused.value.what
    assert remedy in refused.value.remedy
    choice = resolve_device()
    assert choice.device == "cpu"
    assert reason in choice.reason


TWO = Machine(capabilities=AVX2, gpus=("NVIDIA A100", "Tesla T4"), gpu_bf16=True)


@pytest.mark.parametrize(
    ("machine", "processes", "reason", "remedy"),
    [
        (TWO, 2, "GPUs of different kinds: NVIDIA A100, Tesla T4", "CUDA_VISIBLE_DEVICES"),
        (TWO, 4, "4 processes share 2 GPUs", "one process for each GPU"),
        (Machine(capabilities=AVX2, gpus=("Tesla T4",), free_mib=2_000), 1, "2,000 MiB free", "--device cpu"),
    ],
)
def test_gpus_that_cannot_do_the_run_are_refused(
    machine: Machine, processes: int, reason: str, remedy: str, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(machine)
    assert processes == 1 or resolve_device(Device.CUDA).precision == "bf16"  # alone the first GPU does
    for variable, value in {"RANK": 0, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}.items():
        monkeypatch.setenv(variable, str(value))
    with pytest.raises(DeviceError) as refused:
        resolve_device(Device.CUDA)
    assert reason in refused.value.what
    assert remedy in refused.value.remedy


def test_the_record_names_the_gpu_and_its_libraries(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(Machine(capabilities=AVX2))
    assert accelerator_facts() == {}
    assert peak_device_mib() is None
    plant(MACHINES["T4"][0])
    properties = SimpleNamespace(total_memory=15 << 30, major=7, minor=5)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda: properties)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 << 19)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91200)
    monkeypatch.setattr(device, "driver_version", lambda: "580.65")
    assert accelerator_facts() == {
        "gpu": "Tesla T4", "gpus": 1, "memory_mib": 15_360, "capability": "7.5", "cuda": "13.0", "cudnn": 91200,
        "driver": "580.65", "tf32": False,
    }  # fmt: skip
    assert peak_device_mib() == 1.5
