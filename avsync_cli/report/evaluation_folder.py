"""The folder that `avsync eval --report` writes: tables, JSON and figures, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from avsync_cli.errors import UsageError
from avsync_cli.evaluation.records import EvalReport
from avsync_cli.files import folder_beside
from avsync_cli.report.evaluation import evaluation_json, report_name
from avsync_cli.report.evaluation_figures import figures
from avsync_cli.report.evaluation_tables import csv_tables, reading_tables
from avsync_cli.report.table import markdown

JSON_NAME = "report.json"


def check_folder(folder: Path) -> None:
    """Refuse a place that holds something other than an earlier report, or cannot be written to.

    Raises:
        UsageError: it is a file, or a folder of other things, or no folder can be made there.
    """
    there = next(parent for parent in folder.absolute().parents if parent.exists())
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        raise UsageError(f"--report: cannot write into {there}", "name another folder")
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{folder} is a file", "give a folder with --report")
    if any(folder.iterdir()) and not (folder / JSON_NAME).is_file():
        raise UsageError(f"{folder} holds other things", "give a new folder with --report")


def write_folder(report: EvalReport, folder: Path) -> None:
    """Write everything beside `folder` and put it in its place.

    Raises:
        UsageError: the place cannot be written, or holds something other than a report.
    """
    check_folder(folder)
    drawn = figures(report)
    files = {JSON_NAME: evaluation_json(report), **csv_tables(report)}
    files |= {name: text for name, (_, text) in drawn.items()}
    parts = [f"# Evaluation of {report_name(report)}\n"]
    parts += [markdown(table) for table in reading_tables(report)]
    if drawn:
        parts.append("## Figures\n")
        parts += [f"![{caption}]({name})\n\n{caption}\n" for name, (caption, _) in drawn.items()]
    if report.failed:
        parts.append(f"Clips that could not be used: {len(dict(report.failed))}\n")
    files["report.md"] = "\n".join(parts)
    with folder_beside(folder) as beside:
        for name, text in files.items():
            (beside / name).write_text(text, encoding="utf-8")
