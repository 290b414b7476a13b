"""Rule segments: a small language of conditions, read from JSON or written in Python.

`language` is the language as frozen values, `rule` builds them, `document` reads and writes JSON,
`tests` are comparisons, `batch` asks an engine, `single` looks at one customer's events, `truth`
puts answers together, `empty` finds what nobody can fulfil, `sql` and `words` write rules out, and
`segmenter` makes segments of them.
"""
