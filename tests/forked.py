"""Work done by a fork of this process, which has imported everything: it starts in no time, and it can be hit."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path


def fork(work: Callable[[], object], out: Path, err: Path) -> int:
    """Let a fork of this process do the work, and return its process id; what it says is appended to the files.

    It ends as the interpreter would, with 0, the code of a SystemExit or SIGINT; and with 70 after another error.
    """
    if pid := os.fork():
        return pid
    code = 70
    try:
        for descriptor, file in ((0, Path(os.devnull)), (1, out), (2, err)):
            os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644), descriptor)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (they are the child's to its end)
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else left.code is not None
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:  # noqa: BLE001 (the child ends here whatever it met, and says what it was)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def repro(*arguments: object) -> None:
    """Run `repro ARGUMENTS` in this process."""
    from repro import cli

    sys.argv = ["repro", *map(str, arguments)]
    cli.main()
