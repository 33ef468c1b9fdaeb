"""The script for PowerShell 5.1 and later. Where it offers nothing, PowerShell goes on to offer files."""

from __future__ import annotations

from falcon_cli.completion.tree import Command, Option, valued

_SCRIPT = """# PowerShell completion for falcon; made by `falcon completions powershell`, not by hand.

Register-ArgumentCompleter -Native -CommandName falcon -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $valued = @(@VALUED@)
    $commands = @{
@COMMANDS@
    }
    $options = @{
@OPTIONS@
    }
    $values = @{
@VALUES@
    }
    $arguments = @{
@ARGUMENTS@
    }

    $path = 'falcon'
    $position = 0
    $before = ''
    $elements = $commandAst.CommandElements
    for ($index = 1; $index -lt $elements.Count; $index++) {
        $element = $elements[$index]
        if ($element.Extent.EndOffset -ge $cursorPosition) { break }
        $word = $element.Extent.Text
        if ($before -cin $valued) { $before = ''; continue }
        $before = $word
        if ($word.StartsWith('-')) { continue }
        if ($commands[$path] -and $commands[$path].ContainsKey($word)) { $path = "$path $word" } else { $position++ }
    }

    $candidates = [ordered]@{}
    if ($before -cin $valued) {
        foreach ($word in $values["$path $before"]) { if ($word) { $candidates[$word] = $word } }
    } elseif ($wordToComplete -match '^(--[a-z-]+)=') {
        foreach ($word in $values["$path $($Matches[1])"]) { if ($word) { $candidates["$($Matches[1])=$word"] = $word } }
    } elseif ($wordToComplete.StartsWith('-')) {
        foreach ($name in $options[$path].Keys) { $candidates[$name] = $options[$path][$name] }
    } else {
        if ($position -eq 0 -and $commands[$path]) {
            foreach ($name in $commands[$path].Keys) { $candidates[$name] = $commands[$path][$name] }
        }
        foreach ($word in $arguments["$path $position"]) { if ($word) { $candidates[$word] = $word } }
    }
    $candidates.GetEnumerator() | Where-Object { $_.Key.StartsWith($wordToComplete) } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_.Key, $_.Key, 'ParameterValue', $_.Value)
    }
}
"""


def script(root: Command) -> str:
    """The whole script."""
    commands, options, values, arguments = [], [], [], []
    for command in root.walk():
        if command.commands:
            commands.append(_table(command.path, {child.name: child.summary for child in command.commands}))
        options.append(_table(command.path, {name: option.help for option in command.options for name in option.names}))
        values += [_list(f"{command.path} {name}", words) for option in command.options for name, words in _words(option)]
        places = enumerate(command.arguments)
        arguments += [_list(f"{command.path} {position}", value.words) for position, value in places if value.words]
    return (
        _SCRIPT.replace("@VALUED@", ", ".join(map(_text, valued(root))))
        .replace("@COMMANDS@", "\n".join(commands))
        .replace("@OPTIONS@", "\n".join(options))
        .replace("@VALUES@", "\n".join(values))
        .replace("@ARGUMENTS@", "\n".join(arguments))
    )


def _words(option: Option) -> list[tuple[str, tuple[str, ...]]]:
    return [(name, option.value.words) for name in option.names] if option.value and option.value.words else []


def _table(path: str, entries: dict[str, str]) -> str:
    rows = "\n".join(f"            {_text(name)} = {_text(help or name)}" for name, help in entries.items())
    return f"        {_text(path)} = [ordered]@{{\n{rows}\n        }}"


def _list(key: str, words: tuple[str, ...]) -> str:
    return f"        {_text(key)} = @({', '.join(map(_text, words))})"


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
