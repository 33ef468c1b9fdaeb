"""Topics: the chat and its slash commands."""

from __future__ import annotations

from scripts.demo.corpus.topic import topic

TOPICS = (
    topic(
        "start",
        do="""
            (start|begin|open|launch|run|enter|get into) (a|the|my first|an interactive) (chat|conversation|session|
              dialogue)
            (chat|talk|speak|converse|write) (with|to) (a model|the model|a language model|an AI|it|falcon|an LLM)
              [interactively]
            (have|hold) a (chat|conversation|dialogue) with (a model|it|an AI)
            get (started|going) [with chatting]
            (use|start|open) the (chat|interactive) mode
            (start|open|run|launch) falcon (interactively|for chatting|as a chat)
            ask (a model|it) (several|many) questions in a row
            (chat|talk) with [a model|some model] of my choice
        """,
        it="""
            (the chat|the falcon chat|the interactive) (command|mode)
            falcon chat
            the command for (chatting|talking|a conversation|interactive use)
        """,
        ask="""
            (what|which) command (starts|opens|begins|launches|gives me) (a|the) (chat|conversation|session)?
            (first steps|where do I begin|where to start|how do I begin)?
            I just installed (falcon|it|this), (what now|now what|how do I talk to it|what do I run first)?
        """,
        say="""
            `falcon chat` starts a chat; put a model's name behind it, as in `falcon chat tiiuae/Falcon-H1-0.5B-Instruct`.
            Type `falcon chat`, with a model's name behind it if you like.
        """,
    ),
    topic(
        "leave",
        do="""
            (leave|quit|exit|close|end|stop|finish|terminate|get out of|escape from|abandon) (the|this|a|my|our)
             (chat|conversation|session|program|dialogue|prompt|thing)
            (leave|quit|exit|close|stop|shut down|terminate|kill) [falcon|here|the tool|the app|it all]
            (get out|log off|log out|go away|hang up|sign off|get back to the shell|return to my shell|return to the
              terminal)
            (get|come|go) back to (the|my) (shell|terminal|command line|prompt)
        """,
        it="""
            [the] /exit [command]
            (the exit|the quit|the leave) command
            (leaving|quitting|exiting|closing|ending) (the chat|the session|falcon|a conversation)
            Ctrl-D
        """,
        ask="""
            (where|what) is the (exit|way out|door)?
            how do I (get out|get out of here|leave|quit|exit|make it stop and leave)?
            I am (done|finished|through) (here|chatting|with this chat|with the chat), how do I (leave|close it|quit)?
            (which|what) key (leaves|ends|closes|quits|exits) (the chat|it|the session)?
            I (want|need) (out|to go now|to leave now)
        """,
        say="""
            Type `/exit` or press Ctrl-D to leave the chat.
            `/exit` leaves the chat; so does Ctrl-D.
        """,
    ),
    topic(
        "slash",
        do="""
            (list|see|show|get|find|display|view|print|learn) (all|the|all the|every|available) (slash|chat|possible|
              special|)
             (commands|shortcuts) [in the chat|of the chat|inside the chat|that exist]
            (see|find out|learn|know) (what|which) (commands|slash commands) (there are|exist|I can type|are available)
              [in the chat]
            (get|call|open|show|see) [the] help (in|inside|within) (the|a) (chat|conversation|session)
            get an overview of (the|all) (commands|slash commands)
        """,
        it="""
            [the] /help [command]
            (the|a) (list|overview|table) of [all] (slash|chat|the chat's|) commands
            slash commands
        """,
        ask="""
            (what|which) (commands|slash commands) (are there|do you have|can I use|exist|are available|can I type) [in
              (the|this) chat|here]?
            what can I type (here|in the chat|inside the chat) [besides questions]?
            what (else|commands) (starts|start|begins) with a slash?
            I need help (in|inside) the chat
        """,
        say="""
            Type `/help`: it lists the commands of the chat.
            `/help` shows all commands in the chat.
        """,
    ),
    topic(
        "undo",
        do="""
            (undo|take back|revert|remove|delete|cancel|withdraw|retract|erase|drop|reverse|roll back|unsay|scratch)
             (the|my) (last|latest|previous|most recent) (turn|message|question|exchange|answer|step|input|thing|prompt)
            (undo|take back|unsay|retract|remove|revert) (what I [just] said|what I wrote|what I typed|something|a turn|
              one turn|that|a message)
            go (back|one step back|back one turn|one turn back|back a step)
            (step|turn) back (one turn|in the conversation|a turn)
            (correct|fix|rewrite|repair) (my last message|what I just said|a mistake|a mistyped question)
            make (it|the model|you) forget (my|the) last (message|question|turn|exchange)
        """,
        it="""
            [the] /undo [command]
            the undo (command|function|feature)
            (taking back|undoing) (a turn|the last turn|a message)
        """,
        ask="""
            (I made a mistake|I mistyped|I said something wrong|I sent the wrong thing|wrong question|I pressed enter too
              early)
             (, can I take it back|, how do I go back|. Undo|, what now|; how to undo it)?
            (can|could) I (undo|take it back|take something back|unsend it)?
            is there an undo [here|in the chat|command|button]?
        """,
        say="""
            `/undo` takes back the last turn.
            Type `/undo`: it takes back the last turn.
        """,
    ),
    topic(
        "retry",
        do="""
            (retry|regenerate|redo|repeat|redraw|reroll|renew) (the|your|that|an|this|its) (last|latest|) (answer|reply|
              response|output|turn)
            (get|see|have|draw|generate|produce|ask for|request|try for) (another|a different|a new|a second|an
              alternative|one more|a fresh)
             (answer|reply|response|version|attempt|try) [to the same question|for the last question]
            (draw|generate|produce|create|make|write) (the|an|that) (answer|reply|response) (again|anew|once more|a
              second time|afresh)
            (let|make) (the model|it|you) (try again|answer again|have another go|answer once more|give it another try)
            (try again|try the answer again|roll the dice again|spin again)
        """,
        it="""
            [the] /retry [command]
            the (retry|regenerate) (command|function)
        """,
        ask="""
            I (do not|don't) like (the|this|that|your) (answer|reply|response)(, give me another|, another one please|,
              can I get a new one|)
            (that|the) (answer|reply) was (bad|poor|wrong|not good)(, how do I get a new one|, can it try again|, how to
              draw it again)?
            same question, (another|a new|different|fresh) answer
            (is there|do you have) a (regenerate|retry|redo) (button|command|function)?
        """,
        say="""
            `/retry` draws the answer again.
            Type `/retry` to draw the last answer again.
        """,
    ),
    topic(
        "clear",
        do="""
            (clear|reset|wipe|erase|delete|empty|forget|drop|discard|remove) (the|this|our|my|the whole|the entire)
             (conversation|chat|history|context|dialogue|chat history|memory|session)
            (start|begin) (over|again|from scratch|anew|afresh|from the beginning|a new conversation|a fresh chat|with a
              clean slate|from zero)
            (make|let) (you|it|the model|falcon) forget (everything|all|it all|what was said|all of this|the conversation|
              our talk)
            (wipe|clean) (the slate|everything|it all)
            (have|get|open) a (fresh|clean|new|blank|empty) (start|conversation|slate|context|chat) [without restarting]
            (talk|chat) about something (new|else|entirely different) with an empty memory
        """,
        it="""
            [the] /clear [command]
            the clear command
            (clearing|resetting|wiping) (the chat|the conversation|the history)
        """,
        ask="""
            (forget|erase|delete|wipe) (everything|all of it|the whole conversation|all we said|all this)
            (can we|let us|let's|I want to) start (over|again|from scratch|afresh)
            new (conversation|chat|topic), how?
        """,
        say="""
            `/clear` forgets the conversation, so that you can start over.
            Type `/clear`: the conversation is forgotten and you start over.
        """,
    ),
    topic(
        "system",
        do="""
            (change|set|edit|replace|give|write|modify|define|use|add|alter|provide|swap) (the|a|my own|another|a new|a
              different) system
             (prompt|message|instruction|text) [in the chat|during the chat|while chatting|in a chat|mid chat|on the fly]
            (give|tell) (you|it|the model) (another|a new|a) (role|persona|character|standing instruction|general
              instruction|personality)
            make (you|the model|it) (speak|talk|behave|act|answer) (like|as) (a pirate|a teacher|a poet|someone else|an
              expert|a lawyer)
            (assign|set) a (role|persona) [for the chat]
            tell (the model|it) how (to behave|it should behave) [in this chat]
        """,
        it="""
            [the] /system [command]
        """,
        ask="""
            where (do|can) I (put|change|set|enter) the system prompt [in the chat]?
            which slash command (sets|changes) the system prompt?
        """,
        say="""
            `/system` and the text changes the system prompt; `--system` sets it at the start.
            Type `/system` and the new text; at the start, use `--system`.
        """,
    ),
    topic(
        "set",
        do="""
            (change|set|adjust|modify|alter|tune|edit|switch|control) (the|a|some|another|any|my)
             (temperature|parameter|sampling parameter|setting|sampling setting|parameters|sampling|top-p|top-k|seed|value)
             (in the chat|during a chat|while chatting|inside the chat|in a running chat|mid conversation|without leaving
               the chat|in chat mode)
            (change|set|adjust|alter|tweak) (a|the|my|any|some) (parameter|sampling parameter|parameters|sampling
              parameters|generation parameters)
            (change|set|adjust|alter) (the temperature|top-p|top-k|the seed) (in the chat|during the chat|on the fly|
              while we talk|in the middle of a chat)
            set (the temperature|temperature) to (0.7|0.2|1|0.5|0.9|1.2) (in the chat|here|now|during the chat)
            (make|have) the chat (warmer|colder|hotter)
        """,
        it="""
            [the] /set [command]
            /set temperature [0.7]
            (changing|setting) (a parameter|the temperature|parameters) in the chat
        """,
        ask="""
            which slash command (changes|sets|adjusts) (parameters|the temperature|a parameter|sampling)?
            (can|may) I (change|adjust|alter) (the temperature|parameters|the sampling|settings) (in the middle of|during|
              inside|in|while in) (a|the) (chat|conversation)?
            I (want|need) another temperature (in this chat|for this chat|here)
        """,
        say="""
            Use `/set` with a name and a value, for example `/set temperature 0.7`.
            `/set temperature 0.7` changes the temperature; `/set` works for the other parameters, too.
        """,
    ),
    topic(
        "show",
        do="""
            (see|show|view|display|print|inspect|look at|check|get|list) (the|all|my|the current|the present|current)
             (parameters|sampling parameters|sampling settings|chat parameters|values of the parameters) [in the chat|of
               the chat|in use]
            (see|show|view|display|print|inspect|look at|check) (the|the current|the model's|my) (state|state of the
              model|state size|chat template|template)
             [in the chat|that is in use|right now]
            (find out|know|check) (what|which) (temperature|parameters|template) (is|are) (set|in use|in force|active)
              [in the chat]
        """,
        it="""
            [the] /show [command]
            /show (parameters|state|template)
        """,
        ask="""
            (what|which) (parameters|sampling parameters|values) (are|do we have) (set|in use|active|in force|now) [in
              this chat|now]?
            (what|which) (temperature|template) (is in use|is used|is set|are we using|is active) [here|now|in this chat]?
            how large is the state (now|right now|of this chat|in this chat)?
        """,
        say="""
            `/show parameters` shows the parameters, `/show state` the state, `/show template` the template.
        """,
    ),
    topic(
        "stats",
        do="""
            (see|show|get|display|print|know|check|view|find out|count|monitor) (the|)
             (statistics|stats|token counts|number of tokens|tokens per second of an answer|token usage|token count|speed
               of an answer|generation speed)
             [of an answer|of the last answer|after an answer|in the chat|of a turn|on the command line]
            (see|know|find out|check|get) how (many tokens|fast) (an answer|the answer|it|the reply|a turn|my prompt)
              (was|took|used|has|is|had)
            (see|get) (speed and token counts|the speed|the timing|timings) [of a turn|of the answer|of my chat]
            count (the|my) tokens
        """,
        it="""
            [the] /stats [command]
            [the] --stats [option|flag]
            (statistics|stats|token counts) (of|for|after) (a turn|an answer|the chat)
        """,
        ask="""
            how many tokens (did|does|was|were|has) (that|this|the answer|my question|the last answer|it) (take|use|cost|
              have|used|so far)?
            how (fast|quick|quickly) (was|did) (that|the last answer|you answer|this answer|that answer come|it come)?
            how many tokens per second (do I get|was that|did I get) [in this chat]?
        """,
        say="""
            `/stats` in the chat shows speed and token counts; on the command line it is `--stats`.
            Type `/stats` in the chat, or add `--stats` on the command line.
        """,
    ),
    topic(
        "stop",
        do="""
            (stop|interrupt|abort|break off|cut off|cancel|halt|end|pause|break|silence) (an|the|your|a long|a running|
              this|that|the current)
             (answer|reply|generation|output|response|text) [while it is written|while it runs|midway|early|before it is
               finished]
            (stop|interrupt|halt|silence|cut) (the model|it|you|falcon) (while it is writing|while it writes|in the
              middle of an answer|when it talks too much|from writing on|midway|mid answer|talking)
            (make|get) (the model|it|you) (stop|shut up|be quiet|stop talking|stop writing|stop generating)
        """,
        it="""
            Ctrl-C
            (stopping|interrupting|aborting|cancelling) (an answer|a reply|the generation|generation)
        """,
        ask="""
            (the answer|it|the reply|the model) (is too long|goes on forever|does not end|never ends|will not stop|does
              not stop|keeps going)(, how do I stop it|, help|, what do I press|)?
            (which|what) key (stops|interrupts|breaks off|aborts) (the answer|an answer|it|the generation)?
            (what happens|what do I lose|is the text lost|is the answer lost) (if|when) I (stop|interrupt|break off) (an
              answer|it|the generation)?
            what (happens|does falcon do) (when|if) I press Ctrl-C?
        """,
        say="""
            Press Ctrl-C: the answer stops, and what there is, is kept.
            Ctrl-C stops an answer; what was written so far is kept.
        """,
    ),
    topic(
        "lines",
        do="""
            (write|type|enter|send|input|compose) (several|many|multiple|more than one|two|a few) (lines|paragraphs) [in
              one message|at once|in the chat]
            (write|type|enter|send|paste) a (multi-line|multiline|long) (message|question|text|prompt)
            (make|insert|add|get|start|put|enter|have) (a|another) (new line|line break|newline|second line) [without
              sending|in my message|in the chat]
            (break|wrap) (a|the) line without sending
            press enter without sending
        """,
        it="""
            (Alt-Enter|Ctrl-J)
            (multi-line|multiline) (input|messages|text)
            (line breaks|new lines) in (a message|the chat|my message)
        """,
        ask="""
            enter sends (the message|my message|it) (at once|too early|right away), how do I (make a new line|get a line
              break|go on in the next line)?
            (which|what) key (makes|gives|inserts) a (new line|line break|newline)?
        """,
        say="""
            Alt-Enter or Ctrl-J makes a new line; Enter sends the message.
            Press Alt-Enter or Ctrl-J for a new line; Enter sends.
        """,
    ),
)
