"""From streams to evidence: blocks, scan, pipeline. Nothing is decided here."""
