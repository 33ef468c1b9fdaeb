"""The conversation on the terminal.

loop       a line in, an answer or a command's effect out
prompt     where the line is typed, by prompt_toolkit; `keyboard` holds it back while the model speaks
slash      the one table of slash commands
├── moves  turns: undo, redo, retry, edit, continue, branch, tree, goto
├── views  what /show and /stats show
├── files  reading, exporting, the clipboard
└── desk   system prompt, parameters, other models, other conversations
chat       a session, how its answers are drawn and shown
└── keeper puts each answer on the disk, and the state beside it
"""
