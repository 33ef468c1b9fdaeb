"""`falcon_cli`: the face of `falcon`. Commands, options, streams; it knows nothing of tensors.

    app          main(): the one boundary where errors become a message and an exit code
    exit         the exit codes, and which error means which
    signals      Ctrl-C, SIGTERM and the end of the terminal
    commands/    one file per command, imported when it is called
    repl/        the chat: prompt and keyboard, the table of slash commands and what they do, who keeps a conversation
    render/      an answer on a terminal: Markdown while it comes, or plain
    store/       conversations on the disk; `export` writes them in other forms
    options      every shared option, declared once
    settings     FALCON_* variables and config.toml, each value with its origin; `places` says where files are
    topics       the texts of `falcon help`
    completion/  the scripts for Tab, generated from the commands and options
    prompt       where a prompt comes from: argument, file, standard input
    wording      how it is put to the model: by the chat template, or as it stands
    opening      the model that the options name, opened
    forms        how an answer is written: text, a fenced block, JSON; `thinking` tells thoughts apart, `fence` finds blocks
    output       where it goes: stdout, or a file that is whole or untouched
    figures/     what was measured, as rows, tables and diagrams; beside an earlier run
    report       one finished completion as JSON or as statistics
    console      what goes to stdout and stderr, and how; progress; `color` and `log`
    terminal     foreign text made harmless for a terminal
    demo/        the embedded checkpoints

Nothing heavy is imported here or at the top of any module below: `falcon --help` must not wait for torch.
"""
