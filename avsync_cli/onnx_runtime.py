"""ONNX Runtime, loaded so that it reports to nobody and leaves nothing behind.

Its newer releases keep a diary of use in the user's cache folder and an identity in the folder for
temporary files, to be sent home; a variable read at its first import turns that off.
"""

from __future__ import annotations

import os
from typing import Any

from avsync_cli.cores import usable_cores

_NO_REPORTS = "ORT_DISABLE_TELEMETRY"


def load_onnxruntime() -> Any:
    """The module `onnxruntime`; a person's own setting of the variable stands."""
    os.environ.setdefault(_NO_REPORTS, "1")
    import onnxruntime

    return onnxruntime


def session_options(threads: int) -> Any:
    """Options every network is run with.

    Threads that wait for work sleep instead of spinning: the decoder runs on the same cores, and
    what spins takes them from it. A count of our own also keeps ONNX Runtime from pinning each
    thread to a core that the decoder may be using.

    Args:
        threads: within an operator; 0 for one for every second core this process may use, since
            decoder, face detector and model work side by side. On two cores all three with one
            thread take an eighth less of them than with two, and end no later.
    """
    options = load_onnxruntime().SessionOptions()
    options.intra_op_num_threads = max(0, threads) or max(1, usable_cores() // 2)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options
