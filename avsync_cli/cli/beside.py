"""The files that are wanted beside the answer, checked before any work."""

from __future__ import annotations

from pathlib import Path

from avsync_cli.cli.checks import check_folder, check_no_film, check_no_input, check_place
from avsync_cli.corpus.manifest import MANIFEST
from avsync_cli.errors import UsageError
from avsync_cli.report.beside import ENDINGS, Wanted
from avsync_cli.report.editor_markers import check_installed


def check_wanted(
    wanted: Wanted,
    output: Path | None,
    files: list[str],
    *,
    journal: Path | None = None,
    several: bool = False,
) -> None:
    """Refuse what cannot be written; `several` says whether there are several films.

    `output` and `journal` are the answer's place and that of --resume, which is checked already.

    Raises:
        UsageError: an unknown ending, no such folder, one that cannot be written into, one file for
            several films, two outputs with one name, or an input's name.
    """
    for flag, path in wanted.by_flag().items():
        if path.is_dir():
            check_folder(flag, path)
            continue
        if several:
            what = f"{flag} writes one file a film, and there are {len(files) or 'more'} films"
            raise UsageError(what, "name a folder that exists, and each film gets a file in it")
        if path.suffix.lower() not in ENDINGS[flag]:
            known = " or ".join(ENDINGS[flag])
            what = f"{flag} cannot write {path.name!r}"
            raise UsageError(what, f"name it with {known}, or name a folder that exists")
        check_installed(path.suffix.lower())
    if wanted.html is not None and wanted.html.is_dir():
        from avsync_cli.report.html import INDEX, is_ours

        check_folder("--html", wanted.html)
        if not is_ours(wanted.html / INDEX):  # its overview is somebody else's
            what = f"--html: {wanted.html / INDEX} is no report, and would be overwritten"
            raise UsageError(what, "name an empty folder")
    if wanted.tracks is not None and wanted.tracks.is_dir():
        raise UsageError(f"--tracks {wanted.tracks} is a folder", "name a file in it")
    if wanted.crops is not None:
        _check_crops(wanted.crops)
    named = {"--output": output, "--html": wanted.html, "--tracks": wanted.tracks}
    named |= wanted.by_flag()
    taken: dict[Path, str] = {} if journal is None else {journal.resolve(): "--resume"}
    for flag, place in named.items():
        if place is None or place.is_dir():
            continue
        check_place(flag, place)
        if flag == "--html" and not (place.suffix or place.exists()):
            # A folder is meant as a rule: `--html pages/`, whose last stroke is lost by now.
            raise UsageError(
                f"--html: there is no folder {place}", "make it first, or name a .html"
            )
        other = taken.setdefault(place.resolve(), flag)
        if other != flag:
            raise UsageError(f"{other} and {flag} name the same file", "name two files")
        check_no_input(flag, place, files)
        if flag not in ENDINGS:
            check_no_film(flag, place)


def _check_crops(folder: Path) -> None:
    """Refuse a folder that cannot be made, and one that has a manifest: its clips would be lost
    to it."""
    if not folder.exists():
        check_folder("--crops", folder.parent)
    elif not folder.is_dir():
        raise UsageError(f"--crops {folder} is no folder", "name a folder")
    else:
        check_folder("--crops", folder)
        if (folder / MANIFEST).exists():
            what = f"--crops: {folder} holds the clips of another run"
            raise UsageError(what, "name a new folder, or remove its manifest.csv")
