"""The command `avsync offset-scan`: by how much is the sound late or early?"""

from __future__ import annotations

from avsync_cli.cli.flags import JudgeFlags
from avsync_cli.cli.takes import takes


@takes(JudgeFlags)
def offset_scan(flags: JudgeFlags) -> int:
    """Find the offset of each file's sound, with its interval and confidence.

    [bold]Examples[/bold]

      avsync offset-scan --range 2s movie.mp4    the curve, then the offset
      avsync offset-scan --range 10s --json interview.mkv
      avsync offset-scan --plot curve.png --markers markers.edl take1.mov
      avsync offset-scan --csv -o offsets.csv "rushes/*.mxf"

    The curve shows how well the sound fits after it is moved by each offset; its peak is the
    offset. Above 0 the sound is late, below 0 early. The command that moves it back is printed.
    """
    from avsync_cli.cli.run import judge

    return judge("offset-scan", flags)
