"""The command line: one file a command, one function each, whose arguments are the command's options."""
