"""Why segments are what they are: effects, a tree with its rules, reasons, pairs, personas."""
