"""Answers written down: in words (`sentences`), for people and for scripts."""
