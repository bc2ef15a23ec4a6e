"""Groups of settings that several commands share; a command's settings inherit from them.

Fields are listed in the order of the bases read from the last to the first, as dataclasses have it.
What a parser or a completion needs is imported where it is asked for: building the command line
reads these modules, and `autoscale --help` must not wait for a library.
"""
