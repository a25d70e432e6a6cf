"""Answers written down: in words (`sentences`), for people (`terminal`, `html`), for scripts (`machine`)."""
