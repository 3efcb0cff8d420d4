"""The GPU of this machine: what it is, and how fast its clocks run at the moment."""

from __future__ import annotations

import re
import shutil
import subprocess

from nas.hardware.device import Device

CLOCKS = {"clocks.sm": "sm_mhz", "clocks.mem": "memory_mhz", "power.draw": "power_w", "temperature.gpu": "celsius"}


def this_gpu() -> Device | None:
    """Describe the first CUDA device, or None where there is none; without serials."""
    import torch

    if not torch.cuda.is_available():
        return None
    properties = torch.cuda.get_device_properties(0)
    fingerprint = {
        "model": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "sms": properties.multi_processor_count,
        "memory_gb": round(properties.total_memory / 1e9),
        "cuda": torch.version.cuda,
        "driver": query_driver("driver_version").get("driver_version"),
    }
    return Device(slug(properties.name), "cuda", fingerprint)


def slug(model: str) -> str:
    """Make a folder's name of a GPU's: `NVIDIA H200` -> `h200`."""
    words = re.findall(r"[a-z0-9]+", model.lower())
    return "-".join(word for word in words if word not in ("nvidia", "geforce", "tesla")) or "gpu"


def gpu_share_left() -> float:
    """Return the share of the GPU's memory that is free, by the driver."""
    import torch

    free, total = torch.cuda.mem_get_info()
    return free / total


def read_clocks() -> dict[str, float]:
    """Clocks in MHz, power in W and temperature as the driver reports them; {} where no driver answers."""
    read = query_driver(*CLOCKS)
    return {CLOCKS[name]: float(value) for name, value in read.items() if re.fullmatch(r"\d+(\.\d+)?", value)}


def query_driver(*fields: str) -> dict[str, str]:
    """Ask `nvidia-smi` for fields of the first GPU; {} where it is not there or does not answer."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    command = [tool, f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits", "--id=0"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except subprocess.TimeoutExpired:
        return {}
    values = [value.strip() for value in answer.stdout.strip().split(",")]
    return dict(zip(fields, values, strict=True)) if answer.returncode == 0 and len(values) == len(fields) else {}
