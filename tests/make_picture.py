"""Draws the picture of a report that the README shows: the page of the sample clip, in a browser.

    python tests/make_picture.py                    # docs/pictures/report.png
    python tests/make_picture.py --out other.png

Needs `chromium`. The page is what `avsync score --html` writes of docs/sample/talker.mp4; its
picture is brought to few colours, so that it stays small.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

from avsync_cli.__main__ import main
from avsync_cli.errors import EXIT_OUT_OF_SYNC

REPO = Path(__file__).resolve().parent.parent
SAMPLE = "docs/sample/talker.mp4"
PICTURE = REPO / "docs" / "pictures" / "report.png"

WINDOW_PX = 1000, 1170
COLORS = 64

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def make_picture(target: Path) -> None:
    """Judge the sample, and write the picture of its page to `target`."""
    assert CHROMIUM is not None, "install chromium"
    with tempfile.TemporaryDirectory() as folder:
        page, shot = Path(folder) / "report.html", Path(folder) / "shot.png"
        # In this process, so that the page calls the program by its plain name.
        with contextlib.chdir(REPO), contextlib.redirect_stdout(io.StringIO()):
            words = ["score", "--quiet", "--tolerance", "ebu", "--html", str(page), SAMPLE]
            assert main(words) == EXIT_OUT_OF_SYNC
        browse = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        browse += ["--force-device-scale-factor=1", f"--user-data-dir={folder}/profile"]
        browse += ["--window-size={},{}".format(*WINDOW_PX), f"--screenshot={shot}"]
        browse += ["--blink-settings=preferredColorScheme=1", page.as_uri()]
        subprocess.run(browse, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with Image.open(shot) as whole:
            few = whole.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
            few.save(target, optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=PICTURE)
    make_picture(parser.parse_args().out)
