"""placeholder until the public API is written in the next minutes"""

from avsync_cli._version import __version__ as __version__
