"""One function a command, in the file of what it is about (cli.py lists them); options.py has what several share.

May import every room, heavy ones inside functions, so that --help answers at once. Begin with verify.py, or with
run.py, which leads to sections/runner.py.
"""
