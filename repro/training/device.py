"""The device and precision that training uses: what was asked for, checked, or the best that the machine computes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from repro.errors import DeviceError
from repro.spec import Device, Precision
from repro.training.processes import find_place, wait_time, watched


@dataclass(frozen=True, kw_only=True)
class DeviceChoice:
    """A device and a precision, neither of them `auto`, and the reason for the precision."""

    device: Device
    precision: Precision
    reason: str


def resolve_device(device: Device, precision: Precision) -> DeviceChoice:
    """Return what `auto` stands for here; DeviceError where a GPU that was asked for cannot be used."""
    gpu = torch.cuda.is_available()
    if device is Device.CUDA and not gpu:
        raise DeviceError(
            f"--device cuda: torch {torch.__version__} finds no usable GPU here",
            "Run on a machine with one and a CUDA build of torch, or choose --device cpu.",
        )
    device = (Device.CUDA if gpu else Device.CPU) if device is Device.AUTO else device
    if precision is not Precision.AUTO:
        return DeviceChoice(device=device, precision=precision, reason="asked for")
    if device is Device.CUDA:
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        chosen, other = Precision.BF16 if native else Precision.FP16, "this GPU"
    else:
        ask = getattr(torch.cpu, "get_capabilities", dict)  # torch has it from 2.10 on
        native = any("bf16" in name and there for name, there in ask().items())
        chosen, other = Precision.BF16 if native else Precision.FP32, "this processor"
    return DeviceChoice(device=device, precision=chosen, reason=f"{other} has {'' if native else 'no '}bf16 arithmetic")


def make_accelerator(*, device: str, precision: str) -> Accelerator:
    """Return an Accelerator for `cpu` or `cuda`."""
    if device == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # it plans for every new shape, up to a second each
    place = find_place()
    with watched(place.count if place else 1):  # they meet here
        return Accelerator(
            cpu=device == "cpu",
            mixed_precision={"fp32": "no"}.get(precision, str(precision)),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=wait_time())],
        )
