"""Training of digit classifiers, as `gradengine train` does it; `command.train` is its entry.

Importing this package loads nothing: the command line reads `options` to show its help.
"""
