"""The command `avsync fix`: a copy whose sound is where it belongs, measured again."""

from __future__ import annotations

from avsync_cli.cli.flags_fix import FixFlags
from avsync_cli.cli.takes import takes


@takes(FixFlags)
def fix(flags: FixFlags) -> int:
    """Write a copy with the sound in sync, and measure it again.

    [bold]Examples[/bold]

      avsync fix movie.mp4 -o fixed.mp4              judge, move, check
      avsync fix movie.mp4 --in-place                check, then replace
      avsync fix rushes/*.mp4 --out-dir fixed/       a folder of copies
      avsync fix movie.mp4 -o fixed.mp4 --offset 120ms
      avsync fix movie.mp4 -o fixed.mp4 --dry-run    print the command

    A lag is moved, a drift resampled, a splice put right piece by piece. The picture and all
    other tracks are copied; the sound is encoded again only where it must be. An offset above 0
    means that the sound is late. What is undecided is not touched; docs/fix.md says how each
    container is written.

    Of several files one that cannot be fixed never stops the others, and those in sync get no
    copy. Exit codes: 0 fixed or nothing to fix, 1 the check did not confirm a copy, 2 usage, 3
    undecided or unreadable.
    """
    from avsync_cli.cli.mend import mend

    return mend(flags)
