"""`falcon_cli`: the face of `falcon`. Commands, options, streams; it knows nothing of tensors.

    app          main(): the one boundary where errors become a message and an exit code
    exit         the exit codes, and which error means which
    signals      Ctrl-C and SIGTERM
    commands/    one file per command, imported when it is called
    options      every shared option, declared once
    prompt       where a prompt comes from: argument, file, standard input
    console      what goes to stdout and stderr, and how; progress
    terminal     foreign text made harmless for a terminal
    report       one finished completion as JSON or as statistics
    demo/        the embedded checkpoints

Nothing heavy is imported here or at the top of any module below: `falcon --help` must not wait for torch.
"""
