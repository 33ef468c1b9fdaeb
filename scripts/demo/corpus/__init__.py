"""What the demo models are taught: the topics of ../syllabus.md in many words.

grammar       patterns with alternatives and options → one of their many texts
frames        ways to ask for a deed, a thing or a fact
noise         how people really type: politeness, haste, slips
topic         one thing worth knowing: how it is asked, what is answered
chatting, generating, machine, failures, families, terms, talk        the topics
arithmetic, copying, memory, unknown                                  questions with values drawn on the spot
words, values                                                         what they are drawn from
conversation  all of it mixed into chats of many turns
"""
