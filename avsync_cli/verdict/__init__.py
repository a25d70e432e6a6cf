"""From evidence to an answer: posterior, structure over time, decision. Pure, no files."""
