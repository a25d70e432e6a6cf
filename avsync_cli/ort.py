"""ONNX Runtime, loaded so that it reports to nobody and leaves nothing behind.

Its newer releases keep a diary of use in the user's cache folder and an identity in the folder for
temporary files, to be sent home; a variable read at its first import turns that off.
"""

from __future__ import annotations

import os
from typing import Any

_NO_REPORTS = "ORT_DISABLE_TELEMETRY"


def load_onnxruntime() -> Any:
    """The module `onnxruntime`; a person's own setting of the variable stands."""
    os.environ.setdefault(_NO_REPORTS, "1")
    import onnxruntime

    return onnxruntime
