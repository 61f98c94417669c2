"""What the API answers with, as schemas of OpenAPI 3.0: those of OGC API - Processes 1.0, and what is added to them."""

from __future__ import annotations

from typing import Any, Final

from orthofunctions.domain.phases import Phase
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.timeline import What

Shape = dict[str, Any]

_TEXT: Final[Shape] = {"type": "string"}
_NUMBER: Final[Shape] = {"type": "number"}
_COUNT: Final[Shape] = {"type": "integer", "minimum": 0}
_TIME: Final[Shape] = {"type": "string", "format": "date-time"}
_ANYTHING: Final[Shape] = {"type": "object", "additionalProperties": True}


def ref(name: str) -> Shape:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(of: Shape) -> Shape:
    return {"type": "array", "items": of}


def _object(required: str = "", **properties: Shape) -> Shape:
    return {
        "type": "object",
        "properties": properties,
        **({"required": required.split()} if required else {}),
    }


_LINKS: Final = _list(ref("Link"))
_MAYBE: Final[Shape] = {"type": "number", "nullable": True, "description": "null: no limit, so nobody counts"}
_SCOPES: Final = [scope.value for scope in Scope]
_STATES: Final = ["accepted", "running", "successful", "failed", "dismissed"]
_PHASE: Final[Shape] = {"type": "string", "enum": [phase.value for phase in Phase]}
_FILE: Final = _object(
    "type blob size_bytes md5", href=_TEXT, type=_TEXT, blob=_TEXT, size_bytes={"type": "integer"}, md5=_TEXT
)

SHAPES: Final[dict[str, Shape]] = {
    "Link": _object("href", href=_TEXT, rel=_TEXT, type=_TEXT, hreflang=_TEXT, title=_TEXT),
    "Problem": {
        **_object(
            "type title status detail",
            type=_TEXT,
            title=_TEXT,
            status={"type": "integer", "minimum": 400, "maximum": 599},
            detail=_TEXT,
            instance=_TEXT,
            errors=_list(_object("at message", at=_TEXT, message=_TEXT, found={"nullable": True}, expected=_TEXT)),
        ),
        "description": "RFC 9457; errors says by field what came and what was expected",
    },
    "LandingPage": _object("links", title=_TEXT, description=_TEXT, links=_LINKS),
    "ConfClasses": _object("conformsTo", conformsTo=_list(_TEXT)),
    "ProcessSummary": _object(
        "id version",
        id=_TEXT,
        version=_TEXT,
        title=_TEXT,
        description=_TEXT,
        keywords=_list(_TEXT),
        jobControlOptions=_list({"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]}),
        outputTransmission=_list({"type": "string", "enum": ["value", "reference"]}),
        links=_LINKS,
    ),
    "ProcessList": _object("processes links", processes=_list(ref("ProcessSummary")), links=_LINKS),
    "Described": _object("schema", title=_TEXT, description=_TEXT, minOccurs=_COUNT, schema=_ANYTHING),
    "Process": {
        "allOf": [
            ref("ProcessSummary"),
            _object(
                "inputs outputs",
                inputs={"type": "object", "additionalProperties": ref("Described")},
                outputs={"type": "object", "additionalProperties": ref("Described")},
            ),
        ]
    },
    "Execute": {
        **_object(
            "inputs",
            inputs=ref("Inputs"),
            outputs=_object(
                outputs={
                    **_object(
                        transmissionMode={"type": "string", "enum": ["value", "reference"], "default": "value"},
                        format=_object(mediaType={"type": "string", "enum": ["application/json"]}),
                    ),
                    "additionalProperties": False,
                }
            ),
            mode={"type": "string", "enum": ["async", "sync", "auto"]},
            response={"type": "string", "enum": ["raw", "document"], "default": "document"},
            subscriber=_object(successUri=_TEXT, inProgressUri=_TEXT, failedUri=_TEXT),
        ),
        "description": "processes are executed asynchronously whatever mode says",
    },
    "StatusInfo": _object(
        "jobID status type",
        processID=_TEXT,
        type={"type": "string", "enum": ["process"]},
        jobID=_TEXT,
        status={"type": "string", "enum": _STATES},
        message=_TEXT,
        created=_TIME,
        started=_TIME,
        finished=_TIME,
        progress={"type": "integer", "minimum": 0, "maximum": 100},
        request_id=_TEXT,
        source=_TEXT,
        batch=_TEXT,
        order={**_TEXT, "description": "the standing order that asked for it"},
        replaces={
            **_list(_TEXT),
            "description": "jobs whose images of the same places it makes again: of all slices of the pass now, or "
            "with the precise orbit",
        },
        pinned={"type": "boolean"},
        expires=_TIME,
        links=_LINKS,
    ),
    "JobList": _object("jobs links", jobs=_list(ref("StatusInfo")), links=_LINKS),
    "Results": _object(
        "outputs",
        outputs={
            **_list(_ANYTHING),
            "description": "by reference: digest, title, pool, and href, type, size_bytes and md5 of each file; by "
            "value: the STAC Item in a qualified value",
        },
    ),
    "ResultFile": _FILE,
    "RawResults": {"type": "array", "items": _ANYTHING},
    "Dismissed": _object("dismissed", dismissed=_list(_TEXT)),
    "Copies": _object("jobs", jobs=_list(ref("StatusInfo"))),
    "Explanation": _object(
        "jobID products cost tasks joined_tasks outputs",
        jobID=_TEXT,
        products={**_list(_ANYTHING), "description": "of those named by id: asked, ref and how it was found"},
        cost=_object("eur on_prem_slot_s cloud_slot_s", eur=_NUMBER, on_prem_slot_s=_NUMBER, cloud_slot_s=_NUMBER),
        tasks=_list(_ANYTHING),
        joined_tasks=_list(_ANYTHING),
        outputs=_list(_ANYTHING),
    ),
    "Trace": _object(
        "jobID status created as_of total_s path phases tasks events callbacks",
        jobID=_TEXT,
        status={"type": "string", "enum": _STATES},
        created=_TIME,
        planned=_TIME,
        finished=_TIME,
        as_of={**_TIME, "description": "its end, or now"},
        total_s={**_NUMBER, "description": "from created to as_of"},
        trace_id={**_TEXT, "description": "where the site keeps traces: under this its backend has this one"},
        longest=_object(
            "phase seconds share summary says",
            phase=_PHASE,
            pool=_TEXT,
            seconds=_NUMBER,
            share={"type": "number", "minimum": 0, "maximum": 1},
            summary=_TEXT,
            says=_list(_TEXT),
        ),
        path={
            **_list(ref("TraceSegment")),
            "description": "what the job's end followed from, without a gap: the seconds add up to total_s",
        },
        phases={
            "type": "object",
            "additionalProperties": _NUMBER,
            "description": "seconds of all tasks by phase; they run side by side",
        },
        tasks=_list(
            _object(
                "title state joined critical seconds segments",
                task_id=_TEXT,
                title=_TEXT,
                state=_TEXT,
                joined={"type": "boolean", "description": "another job's, which made images for this one too"},
                critical={"type": "boolean"},
                seconds=_NUMBER,
                releases_unknown={**_COUNT, "description": "earlier releases of which nothing is kept"},
                segments=_list(ref("TraceSegment")),
                fault=_TEXT,
                run=_object(
                    "took_s median_s p90_s n_runs slow says",
                    took_s=_NUMBER,
                    median_s=_NUMBER,
                    p90_s=_NUMBER,
                    n_runs=_COUNT,
                    slow={"type": "boolean"},
                    says=_TEXT,
                ),
            )
        ),
        events=_list(
            _object(
                "at after_s what",
                at=_TIME,
                after_s={**_NUMBER, "description": "since the job was created"},
                what={"type": "string", "enum": [one.value for one in What]},
                task_id=_TEXT,
                joined={"type": "boolean"},
                release=_COUNT,
                delivery=_COUNT,
                pool=_TEXT,
                agent=_TEXT,
                how=_TEXT,
                says=_TEXT,
            )
        ),
        callbacks=_list(
            _object(
                "kind state attempts created",
                kind=_TEXT,
                state=_TEXT,
                attempts=_COUNT,
                created=_TIME,
                delivered=_TIME,
                seconds={**_NUMBER, "description": "until it was delivered"},
            )
        ),
    ),
    "TraceSegment": _object(
        "phase start end seconds",
        phase=_PHASE,
        start=_TIME,
        end=_TIME,
        seconds=_NUMBER,
        release=_COUNT,
        delivery=_COUNT,
        pool=_TEXT,
        agent=_TEXT,
        says=_TEXT,
    ),
    "BatchRequest": {
        **_object(
            "executions",
            batch={**_TEXT, "pattern": "^[a-z0-9][a-z0-9-]{0,62}$", "description": "the same id is the same batch"},
            name={**_TEXT, "maxLength": 200},
            validate_only={"type": "boolean", "default": False},
            executions={**_list(ref("Execution")), "minItems": 1, "maxItems": 1000},
        ),
        "additionalProperties": False,
    },
    "Execution": {
        "allOf": [ref("Execute"), _object(process={**_TEXT, "default": "orthorectify"})],
        "description": "inputs.request_id is the batch's id and the execution's number, where it is not given",
    },
    "BatchSummary": _object(
        "batchID created total states progress links",
        batchID=_TEXT,
        name=_TEXT,
        created=_TIME,
        total=_COUNT,
        states={"type": "object", "additionalProperties": _COUNT, "description": "how many jobs are in each"},
        progress={"type": "integer", "minimum": 0, "maximum": 100},
        links=_LINKS,
    ),
    "BatchJob": _object(
        "jobID status type",
        jobID=_TEXT,
        type={"type": "string", "enum": ["process"]},
        status={"type": "string", "enum": _STATES},
        progress={"type": "integer", "minimum": 0, "maximum": 100},
        processID=_TEXT,
        request_id=_TEXT,
        message=_TEXT,
        title=_TEXT,
    ),
    "Batch": {"allOf": [ref("BatchSummary"), _object("jobs", jobs=_list(ref("BatchJob")))]},
    "BatchList": _object("batches links", batches=_list(ref("BatchSummary")), links=_LINKS),
    "Estimate": _object(
        "index valid",
        index=_COUNT,
        valid={"type": "boolean"},
        errors=_list(_object("at message", at=_TEXT, message=_TEXT, kind=_TEXT)),
        images=_COUNT,
        there={**_COUNT, "description": "images that are in the catalogue: they cost nothing"},
        under_way={**_COUNT, "description": "images that are being made for somebody: they cost nothing"},
        megapixels=_NUMBER,
        run_s=_NUMBER,
        eur={**_NUMBER, "description": "at most, where it would run now; of what would wait, wherever it may yet run"},
        pool={**_TEXT, "nullable": True, "description": "where it would run now; null: it would wait, or in several"},
        why=_TEXT,
        tasks=_list(_ANYTHING),
    ),
    "Estimates": _object("executions total", executions=_list(ref("Estimate")), total=_ANYTHING),
    "Callback": _object(
        "kind uri state attempts created",
        jobID=_TEXT,
        kind={"type": "string", "enum": ["success", "failed", "in-progress"]},
        uri=_TEXT,
        state={"type": "string", "enum": ["waiting", "delivered", "failed"]},
        attempts=_COUNT,
        created=_TIME,
        next_try=_TIME,
        delivered=_TIME,
        status={"type": "integer"},
        error=_TEXT,
        user=_TEXT,
    ),
    "Callbacks": _object("callbacks", callbacks=_list(ref("Callback"))),
    "WhoAmI": _object(
        "user scopes groups via limits usage",
        user=_TEXT,
        scopes=_list({"type": "string", "enum": _SCOPES}),
        groups=_list(_TEXT),
        via={"type": "string", "enum": ["local", "key", "token"]},
        limits=_object(calls_per_minute=_MAYBE, open_jobs=_MAYBE, open_images=_MAYBE, cloud_eur_per_month=_MAYBE),
        usage=_object(open_jobs=_MAYBE, open_images=_MAYBE, cloud_eur=_MAYBE),
    ),
    "Key": _object(
        "id name user scopes created created_by",
        id=_TEXT,
        name=_TEXT,
        user=_TEXT,
        scopes=_list({"type": "string", "enum": _SCOPES}),
        created=_TIME,
        created_by=_TEXT,
        made_with=_TEXT,
        expires=_TIME,
        last_used=_TIME,
        revoked=_TIME,
    ),
    "MadeKey": {"allOf": [ref("Key"), _object("key", key={**_TEXT, "description": "shown this once"})]},
    "Keys": _object("keys", keys=_list(ref("Key"))),
    "StacDocument": {**_ANYTHING, "description": "as STAC API 1.0.0 has it"},
    "StacItem": {
        **_object(
            "type id geometry properties links assets",
            type={"type": "string", "enum": ["Feature"]},
            id=_TEXT,
            geometry={"type": "object", "nullable": True},
            properties=_ANYTHING,
            links=_LINKS,
            assets=_ANYTHING,
        ),
        "description": "a STAC Item whose files have links that expire",
    },
    "StacItems": _object(
        "type features links",
        type={"type": "string", "enum": ["FeatureCollection"]},
        features=_list(ref("StacItem")),
        links=_LINKS,
        numberReturned=_COUNT,
    ),
    "StacSearch": {
        **_object(
            bbox=_list(_NUMBER),
            intersects=_ANYTHING,
            datetime=_TEXT,
            ids=_list(_TEXT),
            collections=_list(_TEXT),
            limit={"type": "integer", "minimum": 1},
            sortby=_list(_object("field", field=_TEXT, direction={"type": "string", "enum": ["asc", "desc"]})),
            token=_TEXT,
        ),
        "additionalProperties": True,
        "description": "as STAC API 1.0.0 has it, with filter, filter-lang and filter-crs",
    },
    "Order": {
        **_object(
            "id user",
            id=_TEXT,
            user=_TEXT,
            title=_TEXT,
            products=_ANYTHING,
            missions={**_ANYTHING, "description": "of the site's default order: what is made of each"},
            created_at=_TIME,
        ),
        "additionalProperties": True,
        "description": "otherwise as a request's inputs",
    },
    "Orders": _object("orders", orders=_list(ref("Order"))),
    "NewOrder": {
        **_object(
            id={**_TEXT, "pattern": "^[a-z0-9][a-z0-9-]{0,62}$"},
            title={**_TEXT, "maxLength": 200},
            products=_object(
                area=_ANYTHING,
                missions=_list({**_TEXT, "enum": ["sentinel-1", "sentinel-2", "sentinel-3", "rpc"]}),
                product_types=_list(_TEXT),
                platforms=_list(_TEXT),
                modes=_list(_TEXT),
                polarisations=_list({**_TEXT, "enum": ["hh", "hv", "vv", "vh"]}),
                orbit_direction={**_TEXT, "enum": ["ascending", "descending"]},
                relative_orbits=_list({"type": "integer", "minimum": 1, "maximum": 385}),
                max_cloud_cover_percent={**_NUMBER, "minimum": 0, "maximum": 100},
            ),
            within_s={**_NUMBER, "description": "deadline: so long after a product's arrival"},
            since=_TIME,
            until=_TIME,
            products_per_month=_COUNT,
            redo_with_precise_orbit={"type": "boolean", "default": False},
        ),
        "additionalProperties": True,
        "description": "which products, and of each what a request's inputs say: grid, options, terrain, …",
    },
    "Campaign": _object(
        "id state price progress spent order",
        id=_TEXT,
        state={**_TEXT, "enum": ["planned", "running", "paused", "done", "cancelling", "cancelled"]},
        started=_TIME,
        ended=_TIME,
        price=_object(
            "products counted_all sampled exact products_fitting images images_there tasks megapixels slot_hours eur",
            products={**_COUNT, "description": "that the inventory lists for it"},
            counted_all={"type": "boolean", "description": "false: there are more"},
            sampled={**_COUNT, "description": "products that all other figures are estimated from"},
            exact={"type": "boolean"},
            products_fitting=_COUNT,
            images=_COUNT,
            images_there=_COUNT,
            tasks=_COUNT,
            megapixels=_NUMBER,
            slot_hours=_NUMBER,
            eur=_NUMBER,
            cloud_eur=_NUMBER,
            cannot=_ANYTHING,
        ),
        progress=_object(
            "taken under_way done there failed unfit all_taken",
            taken=_COUNT,
            under_way={"type": "integer"},
            done=_COUNT,
            there=_COUNT,
            failed=_COUNT,
            unfit=_COUNT,
            all_taken={"type": "boolean"},
        ),
        spent=_object(
            "eur reserved_eur on_prem_slot_s cloud_slot_s",
            eur=_NUMBER,
            reserved_eur=_NUMBER,
            on_prem_slot_s=_NUMBER,
            cloud_slot_s=_NUMBER,
        ),
        order={**_ANYTHING, "description": "what it is, as it was planned"},
    ),
    "Campaigns": _object("campaigns", campaigns=_list(ref("Campaign"))),
    "CampaignFailed": _object(
        "products",
        products=_list(
            _object("product jobID message attempt", product=_TEXT, jobID=_TEXT, message=_TEXT, attempt=_COUNT)
        ),
    ),
    "NewCampaign": {
        **_object(
            "id",
            id={**_TEXT, "pattern": "^[a-z0-9][a-z0-9-]{0,47}$"},
            title={**_TEXT, "maxLength": 200},
            products={**_ANYTHING, "description": "as in an order"},
            tiles={**_list(_TEXT), "description": "zones and bands (31T) or tiles (31TCJ)"},
            since=_TIME,
            until=_TIME,
            made_before={"type": "integer", "minimum": 1},
            at_once={"type": "integer", "minimum": 1, "maximum": 500},
            max_eur={**_NUMBER, "minimum": 0},
            patience_s={**_NUMBER, "minimum": 0},
        ),
        "additionalProperties": True,
        "description": "which products, and of each what a request's inputs say: grid, options, terrain, …",
    },
    "Backfill": _object(datetime=_TEXT, after={**_TEXT, "description": "token of the answer before"}),
    "Backfilled": _object("products jobs", products=_COUNT, jobs=_list(ref("StatusInfo")), token=_TEXT),
    "Products": _object(
        "type features links",
        type={"type": "string", "enum": ["FeatureCollection"]},
        features=_list(ref("Product")),
        links=_LINKS,
    ),
    "Product": _object(
        "type id geometry properties",
        type={"type": "string", "enum": ["Feature"]},
        id=_TEXT,
        geometry=_ANYTHING,
        properties=_object(
            "ref name mission product_type start stop size_bytes state where arrived",
            ref=_TEXT,
            name=_TEXT,
            mission=_TEXT,
            product_type=_TEXT,
            start=_TIME,
            stop=_TIME,
            size_bytes=_COUNT,
            state={"type": "string", "enum": ["here", "elsewhere", "gone"]},
            where={**_TEXT, "description": "blobs, a store of the site, s3://BUCKET, https://HOST"},
            arrived=_TIME,
            expires={**_TIME, "description": "from when on it may go, if no job needs it then"},
            waits_for={
                "type": "string",
                "enum": ["gone", "kept", "needed", "unasked", "idle", "next", "changed"],
            },
            gone=_TIME,
            why=_TEXT,
        ),
    ),
    "ProductSummary": _object(
        "counts rules",
        counts=_list(
            _object(
                "products bytes",
                state=_TEXT,
                where=_TEXT,
                mission=_TEXT,
                product_type=_TEXT,
                month={**_TEXT, "description": "of the sensing"},
                products={"type": "integer"},
                bytes={"type": "integer"},
            )
        ),
        rules={**_list(_ANYTHING), "description": "as settings/archive.yaml has them"},
        rules_error={**_TEXT, "description": "why that file cannot be used, and nothing expires"},
    ),
    "NamedProduct": {**_object("ref", ref={**_TEXT, "pattern": "^products/"}), "additionalProperties": False},
    "KeptProduct": _object("ref state", ref=_TEXT, state={"type": "string", "enum": ["here", "gone"]}, kept_by=_TEXT),
    "CheckFrom": {
        **_object(after={**_TEXT, "description": "token of the answer before"}),
        "additionalProperties": False,
    },
    "CheckedProducts": _object(
        "n_rows n_products gone counted listed deleted unreadable incomplete",
        n_rows={**_COUNT, "description": "of the inventory that were looked at"},
        n_products={**_COUNT, "description": "in the store that were looked at"},
        gone={**_list(_TEXT), "description": "listed, and not there: now among the gone"},
        counted={**_COUNT, "description": "rows that were not counted: now they are"},
        listed={**_list(_TEXT), "description": "there, and not listed: now they are"},
        deleted={**_list(_TEXT), "description": "left over of a deletion"},
        unreadable=_list(_object("ref why", ref=_TEXT, why=_TEXT)),
        incomplete={**_list(_TEXT), "description": "folders without the manifest that is uploaded last"},
        token=_TEXT,
    ),
    "Secret": _object("secret made", secret=_TEXT, made=_TIME, previous_until=_TIME),
}


def answer(
    shape: str | None, *, status: int = 200, media_type: str = "application/json", says: str = "The answer", **more: Any
) -> dict[str, Any]:
    """What a route's decorator is told so that the API's description says what comes back.

    Parameters
    ----------
    shape : str or None
        One of `SHAPES`; None: no body.
    more : dict
        Further members of the response: ``headers``, ``content``.
    """
    content = {} if shape is None else {"content": {media_type: {"schema": ref(shape)}}}
    return {"responses": {status: {"description": says, **content, **more}}, "response_model": None}
