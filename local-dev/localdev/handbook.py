"""What the handbook has besides the files of ``docs``: pages of the repository, and pages made from the code.

mkdocs calls the functions named ``on_…``. Links that are right in the repository are so in the handbook: those to files
that are no page of it become plain text.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

TOP = Path(__file__).resolve().parents[2]
PAGES = ("ARCHITECTURE.md", "CHANGELOG.md")
"""Pages of the repository outside of ``docs``, beside every README of ``infra``."""

_LINK = re.compile(r"(!?\[[^\]\n]*\])\(([^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in ``docs``."""
    from mkdocs.structure.files import File  # noqa: PLC0415 (mkdocs alone calls this)

    for path in _pages():
        files.append(File.generated(config, path, abs_src_path=str(TOP / path)))
    for path, make in MADE.items():
        files.append(File.generated(config, path, content=make()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links at the handbook's pages."""
    uri = page.file.src_uri
    return markdown if uri in MADE else relinked(markdown, uri)


def relinked(markdown: str, uri: str) -> str:
    """A page's text with links as the handbook needs them.

    Parameters
    ----------
    markdown : str
    uri : str
        The page's place in the handbook: what lies in ``docs`` lies at its root there.
    """
    home = Path(uri if uri in _pages() else f"docs/{uri}")

    def link(match: re.Match[str]) -> str:
        text, target = match[1], match[2]
        path, hash_, anchor = target.partition("#")
        if not path or "://" in path or path.startswith("mailto:"):
            return match[0]
        there = os.path.normpath(home.parent / path)
        if there.endswith(".ipynb") and (TOP / there).exists():
            there = f"{there.removesuffix('.ipynb')}.md"
        if there == "README.md":
            there = "docs/index.md"
        if there in _pages():
            new = there
        elif there.startswith("docs/"):
            new = there.removeprefix("docs/")
        elif (TOP / there).exists():
            return text[1:-1]  # a file of the repository
        else:
            return match[0]  # mkdocs says that it is broken
        return f"{text}({os.path.relpath(new, Path(uri).parent)}{hash_}{anchor})"

    return "".join(part if code else _LINK.sub(link, part) for part, code in _without_code(markdown))


def _pages() -> list[str]:
    return [*PAGES, *(str(path.relative_to(TOP)) for path in sorted((TOP / "infra").rglob("README.md")))]


def _without_code(markdown: str) -> Iterator[tuple[str, bool]]:
    """Parts of a page, and whether they are a block of code."""
    for number, part in enumerate(re.split(r"(^```.*?^```$)", markdown, flags=re.MULTILINE | re.DOTALL)):
        yield part, number % 2 == 1


# Pages made from the code -------------------------------------------------------------------------------------------


def commands_page() -> str:
    """Every command as it describes itself."""
    from orthoagent import cli as agent  # noqa: PLC0415 (only where the page is made)
    from orthoburst.commands.parser import make_parser  # noqa: PLC0415
    from orthokernel import cli as kernel  # noqa: PLC0415

    lines = ["# Commands", "", "As `--help` says it.", ""]
    for parser in (make_parser(), kernel.make_parser(), agent.make_parser()):
        for one in _parsers(parser):
            depth = min(len(one.prog.split()) + 1, 4)
            lines += [f"{'#' * depth} `{one.prog}`", "", "```text", _help(one), "```", ""]
    return "\n".join(lines)


def http_page() -> str:
    """The routes of the API, from its own description."""
    from orthofunctions.api.app import create_app  # noqa: PLC0415
    from orthofunctions.api.openapi import describe  # noqa: PLC0415

    def no_system() -> Any:
        raise RuntimeError("nothing is asked here")

    lines = [
        "# HTTP API",
        "",
        "`GET /openapi.json` is the whole description, in OpenAPI 3.0.3. Who may ask is in [security](../security.md), "
        "errors are problem documents (RFC 9457).",
        "",
        "| | path | what it does | answers |",
        "|---|---|---|---|",
    ]
    for path, operations in describe(create_app(no_system))["paths"].items():
        for method, operation in operations.items():
            said = str(operation.get("description") or operation.get("summary") or "").split("\n\n")[0]
            said = said.replace("\n", " ").replace("|", "\\|").replace("<", "&lt;")
            lines.append(f"| {method.upper()} | `{path}` | {said} | {', '.join(operation['responses'])} |")
    return "\n".join(lines) + "\n"


def notebook_page(path: Path) -> str:
    """A notebook to read; its outputs are not kept, as every reader's are their own."""
    cells = json.loads(path.read_text())["cells"]
    parts = []
    for cell in cells:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
    to_take = f"[The notebook itself]({path.name}), to run against a service of yours. The tests run it, cell by cell."
    return "\n\n".join([parts[0], to_take, *parts[1:]]) + "\n"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in dict.fromkeys(action.choices.values()):
                yield from _parsers(one)


def _help(parser: argparse.ArgumentParser) -> str:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"  # not the terminal's
    try:
        return parser.format_help().rstrip()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


MADE: dict[str, Callable[[], str]] = {
    "reference/commands.md": commands_page,
    "reference/http.md": http_page,
    **{
        f"notebooks/{path.stem}.md": partial(notebook_page, path)
        for path in sorted((TOP / "docs/notebooks").glob("*.ipynb"))
    },
}
