"""Which numbers a run computes in."""

from __future__ import annotations

import torch


def in_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether matrices and convolutions are computed in bfloat16.

    Args:
        precision: "bf16", "fp32", or "auto" for bfloat16 where the device has instructions for it:
            a processor without them takes several times as long as in float32.
        device: what computes.
    """
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        with torch.cuda.device(device):
            return torch.cuda.is_bf16_supported(including_emulation=False)
    # An older torch cannot tell; float32 works everywhere.
    known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
