"""The conversation on the terminal: what is typed (prompt), one table of slash commands (slash), the chat and its loop."""
