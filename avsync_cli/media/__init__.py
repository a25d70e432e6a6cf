"""From a file to frames and samples on one clock; nothing here knows of models."""
