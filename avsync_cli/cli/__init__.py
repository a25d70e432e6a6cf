"""The command line: parse, check everything, call, render, exit code. A file per command."""
