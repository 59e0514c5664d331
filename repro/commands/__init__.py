"""One function a command; options.py has what several share.

May import every room, heavy ones inside functions, so that --help answers at once. Begin with verify.py, or with
run.py, which leads to sections/runner.py.
"""
