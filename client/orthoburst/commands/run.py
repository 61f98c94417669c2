"""From what was typed to an exit code: no error ever ends in a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from orthoburst.client import Client
from orthoburst.commands.output import FAILED, INTERRUPTED, UNREACHABLE, USAGE, Run
from orthoburst.commands.parser import make_parser
from orthoburst.errors import OrthoburstError, UnreachableError, UsageError
from orthoburst.terminal import Terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes are `orthoburst.commands.output`'s; argparse ends wrong usage with 2 itself."""
    try:
        arguments = make_parser().parse_args(argv)
        run: Run = arguments.run
        with Client(arguments.url) as client:
            code = run(client, arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _ends("interrupted; jobs go on", INTERRUPTED)
    except BrokenPipeError:
        # whoever read the output has read enough, as in ``orthoburst jobs | head``
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UnreachableError as error:
        return _ends(error, UNREACHABLE)
    except (UsageError, TypeError) as error:  # TypeError: words that exclude each other
        return _ends(error, USAGE)
    except (OrthoburstError, TimeoutError, ImportError) as error:
        return _ends(error, FAILED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _ends(f"{where}{error.strerror or error}", FAILED)
    except Exception as error:
        return _ends(
            f"unexpected {type(error).__name__}: {error}; this is a fault of orthoburst, please report it", FAILED
        )
    return code


def _ends(reason: object, code: int) -> int:
    Terminal(stderr=True).print(f"orthoburst: {reason}", markup=False, highlight=False, soft_wrap=True)
    return code
