"""Which of a ticket's files its images need."""

from __future__ import annotations

from collections.abc import Sequence

from orthocontracts.inputs import InputFile
from orthocontracts.members import needed_members
from orthocontracts.references import path_on_worker
from orthocontracts.tickets import Ticket


def needed_inputs(ticket: Ticket) -> Sequence[InputFile]:
    """All but those members of folders that hold bands nobody asked for."""
    inputs = {file.path: file for file in ticket.inputs}
    for source in ticket.spec.products:
        if source.kind == "folder":
            start = f"{path_on_worker(source.ref)}/"
            members = [path for path in inputs if path.startswith(start)]
            for path in set(members) - needed_members(source.ref, members, ticket.spec.options.bands):
                del inputs[path]
    return tuple(inputs.values())
