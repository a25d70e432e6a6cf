"""Answers written down: for people (`terminal`), for scripts (`machine`), in words (`words`)."""
