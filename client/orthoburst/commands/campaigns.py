"""Campaigns: planned with a price, started, paused, resumed, cancelled, seen."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table

from orthoburst.campaign import Campaign
from orthoburst.client import Client
from orthoburst.commands.documents import object_in
from orthoburst.commands.output import OK, show
from orthoburst.commands.subparsers import Subcommands
from orthoburst.errors import UsageError

_ACTIONS = ("list", "plan", "show", "start", "pause", "resume", "retry", "cancel")


def add_to(commands: Subcommands) -> None:
    campaigns = commands.add("campaigns", _campaigns, "images made anew of what has long been there, behind all users")
    campaigns.add_argument("action", nargs="?", choices=_ACTIONS, default="list")
    campaigns.add_argument(
        "campaign", nargs="?", metavar="FILE|ID", help="a file of JSON to plan, else a campaign's id"
    )


def _campaigns(client: Client, arguments: argparse.Namespace) -> int:
    action, named = arguments.action, arguments.campaign
    if (action == "list") != (named is None):
        raise UsageError(f"campaigns {action}: " + ("it takes no name" if action == "list" else "name the file or id"))
    if action == "list":
        _list(client, arguments)
        return OK
    if action == "plan":
        campaign = client.plan_campaign(object_in(Path(named), "a campaign is an object, see docs/campaigns.md"))
    else:
        campaign = client.campaign(named)
        if action != "show":
            campaign = getattr(campaign, action)()
    _show(arguments, campaign)
    return OK


def _list(client: Client, arguments: argparse.Namespace) -> None:
    found = client.campaigns()
    table = Table("campaign", "state", "products", "done", "failed", "under way", "EUR")
    for campaign in found:
        progress, spent = campaign.document["progress"], campaign.document["spent"]
        table.add_row(
            campaign.id,
            campaign.state,
            _products(campaign.document["price"]),
            str(progress["done"]),
            str(progress["failed"]),
            str(progress["under_way"]),
            f"{spent['eur']:.2f}",
        )
    show(arguments, [one.document for one in found], table if found else "there are no campaigns")


def _show(arguments: argparse.Namespace, campaign: Campaign) -> None:
    failed = campaign.failed() if campaign.document["progress"]["failed"] else []
    document = {**campaign.document, "failed": failed} if failed else campaign.document
    lines = [f"{campaign.id}: {campaign.state}", *_price(document["price"]), *_progress(document)]
    lines += [f"failed: {one['product']}: {one['message']}" for one in failed]
    if campaign.state == "planned":
        lines.append(f"start it: orthoburst campaigns start {campaign.id}")
    show(arguments, document, "\n".join(lines))


def _price(price: dict[str, Any]) -> list[str]:
    how = "all were looked at" if price["exact"] else f"estimated from {price['sampled']} of {_products(price)}"
    cloud = "" if price.get("cloud_eur") is None else f" (all of it in the cloud: {price['cloud_eur']:.2f} EUR)"
    lines = [
        f"{_products(price)} products, {price['products_fitting']} to be made: {how}",
        f"{price['images']} images, {price['images_there']} of them there or under way; {price['tasks']} tasks",
        f"{price['megapixels']:.0f} megapixels, {_slots(price['slot_hours'])}, {price['eur']:.2f} EUR{cloud}",
    ]
    if not price["counted_all"]:
        lines.append("the rest of its products is still being counted, and figures will rise: show it again")
    return lines + [f"cannot be planned: {n} of the sample: {why}" for why, n in price["cannot"].items()]


def _progress(document: dict[str, Any]) -> list[str]:
    progress, spent = document["progress"], document["spent"]
    if not progress["taken"]:
        return []
    hours = (spent["on_prem_slot_s"] + spent["cloud_slot_s"]) / 3600
    most_eur = document["order"].get("max_eur")
    of_all = f", {spent['reserved_eur']:.2f} reserved, of {most_eur:.2f}" if most_eur else ""
    return [
        f"{progress['done']} done ({progress['there']} were there), {progress['failed']} failed, "
        f"{progress['unfit']} do not fit, {progress['under_way']} under way"
        + ("" if progress["all_taken"] else ", more to come"),
        f"{_slots(hours)} and {spent['eur']:.2f} EUR so far{of_all}",
    ]


def _slots(hours: float) -> str:
    return f"{hours:.1f} slot hours" if hours >= 1 else f"{60 * hours:.1f} slot minutes"


def _products(price: dict[str, Any]) -> str:
    return str(price["products"]) if price["counted_all"] else f"over {price['products']}"
