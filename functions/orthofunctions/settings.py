"""What the functions are told by their environment. Read once, in ``bootstrap``."""

from __future__ import annotations

from typing import Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from orthocontracts.buckets import Bucket, Login
from orthocontracts.hosts import Hosts
from orthofunctions.domain.planning import Limits
from orthofunctions.domain.principals import Scope
from orthofunctions.domain.rules import Rules
from orthofunctions.domain.targets import AllowedHosts
from orthofunctions.domain.tokens import TokenRules, check_issuer_url

_RULES = Rules()
_LIMITS = Limits()


class Settings(BaseSettings):
    """App settings, each named ``ORTHOBURST_`` and the field in capitals. Secrets never show in a ``repr``."""

    model_config = SettingsConfigDict(env_prefix="ORTHOBURST_", extra="ignore", frozen=True)

    storage: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("ORTHOBURST_STORAGE", "AzureWebJobsStorage"),
        description="Connection string of the storage account with products, queues and tables; "
        "AzureWebJobsStorage where it is not set. This or STORAGE_ACCOUNT must be.",
    )
    storage_account: str | None = Field(
        default=None,
        pattern=r"^https://[a-z0-9]{3,24}\.blob\.[a-z0-9.-]+$",
        description="https://ACCOUNT.blob.core.windows.net, where this process has an identity with rights there "
        "(managed identity, az login). Goes before the connection string.",
    )
    broker: SecretStr | None = Field(
        default=None,
        description="MQTT broker: mqtt://host:1883, mqtts://, ws:// or wss://. Without one agents poll.",
    )
    broker_user: str | None = Field(default=None, description="User name at the broker.")
    broker_password: SecretStr | None = Field(default=None, description="Password at the broker.")
    broker_ca_file: str | None = Field(
        default=None, description="PEM file with the broker's certificate authority; the system's where it is not set."
    )
    broker_cert_file: str | None = Field(
        default=None, description="PEM file with a client certificate, whose common name is the user at the broker."
    )
    broker_key_file: str | None = Field(default=None, description="PEM file with the certificate's private key.")
    broker_cert: SecretStr | None = Field(
        default=None,
        description="The client certificate itself, PEM, where there is no place for files, as in Azure.",
    )
    broker_key: SecretStr | None = Field(default=None, description="Its private key, PEM.")
    local_user: bool | None = Field(
        default=None,
        description="Whether callers on this machine that show nothing are the user local, who may everything. "
        "By default until there is an issuer or an API key, and never in Azure.",
    )
    oidc_issuer: str | None = Field(
        default=None,
        description="OpenID Connect issuer whose tokens count, to the letter, "
        "https://login.microsoftonline.com/TENANT/v2.0 say.",
    )
    oidc_audience: str | None = Field(default=None, min_length=1, description="What a token's aud must name.")
    oidc_user_claim: str = Field(
        default="sub",
        min_length=1,
        description="Claim with the user's name: one that nobody chooses for themselves and that is never reused.",
    )
    oidc_groups_claim: str = Field(default="groups", description="Claim with the user's groups.")
    oidc_roles_claim: str = Field(
        default="roles",
        description="Claim with roles: orthoburst.read, .submit, .operate, .admin; scope, scp and "
        "realm_access.roles are others.",
    )
    oidc_roles: dict[str, Scope] = Field(
        default={}, description='Roles of the site beside those, as JSON: {"earth-operators": "operate"}.'
    )
    oidc_default_scopes: str = Field(
        default="read",
        pattern=r"^((read|submit|operate|admin)(,(read|submit|operate|admin))*)?$",
        description="What every valid token may: some of read,submit,operate,admin, or nothing.",
    )
    calls_per_minute: int = Field(
        default=600, ge=0, description="Calls a minute of each user to each instance; 0 for no limit."
    )
    failed_proofs_per_minute: int = Field(
        default=30, ge=1, description="Wrong keys and tokens a minute that each address may show to each instance."
    )
    max_open_jobs_per_user: int | None = Field(
        default=None, ge=1, description="Jobs that a user may have under way; no limit where not set."
    )
    max_open_outputs_per_user: int | None = Field(
        default=None, ge=1, description="Images of jobs that a user may have under way; no limit where not set."
    )
    max_body_bytes: int = Field(default=1024 * 1024, ge=1024, description="Largest request body the API reads.")
    max_batch_bytes: int = Field(
        default=8 * 1024 * 1024, ge=1024, description="Largest body of a batch of requests that the API reads."
    )
    link_minutes: float = Field(default=60.0, gt=0, description="How long links to results stay valid.")

    callback_hosts: str = Field(
        default="",
        description="Hosts that callbacks may go to, separated by commas: hooks.example.com, *.example.com, with "
        ":8443 for another port than 443. None where not set.",
    )
    callback_loopback: bool = Field(
        default=False,
        description="Callbacks may go over plain http and to this machine itself, for hosts that callback_hosts names.",
    )

    cdse_user: str | None = Field(
        default=None,
        pattern=r"^[^:]+$",
        description="User that a push subscription of the Copernicus Data Space sends (NotificationEpUsername). "
        "Without it and its password, /doors/cdse is shut.",
    )
    cdse_password: SecretStr | None = Field(
        default=None, min_length=16, description="Its password (NotificationEpPassword)."
    )

    product_hosts: str = Field(
        default="",
        description="Hosts whose https addresses requests may name as products, separated by commas: "
        "data.example.org, *.example.org, with :8443 for another port than 443. None where not set.",
    )
    product_hosts_internal: str = Field(
        default="",
        description="The same for hosts of one's own network: they may have private addresses and plain http.",
    )
    product_logins: dict[str, Login] = Field(
        default_factory=dict,
        description='What opens these hosts for planning, as JSON: {"HOST": {"token": "..."}}, or user and password.',
    )
    product_buckets: dict[str, Bucket] = Field(
        default_factory=dict,
        description="Buckets that requests may name as s3://BUCKET/..., as JSON: "
        '{"BUCKET": {"endpoint": "https://s3.example.org", "region": "eu", "key_id": "...", "secret": "..."}}; '
        "without key what everybody may read.",
    )

    max_outputs_per_task: int = Field(
        default=_LIMITS.max_outputs_per_task, ge=1, description="Most images that one task makes."
    )
    max_megapixels_per_task: float = Field(
        default=_LIMITS.max_megapixels_per_task, gt=0, description="Most million pixels one task makes of many images."
    )
    max_outputs_per_job: int = Field(
        default=_LIMITS.max_outputs_per_job, ge=1, description="Most images that one request may ask for."
    )

    patience_s: float = Field(
        default=_RULES.patience_s,
        ge=0,
        description="How long a task without deadline or patience of its own waits for the HPC centre.",
    )
    max_attempts: int = Field(default=_RULES.max_attempts, ge=1, description="Failures and silences a task may have.")
    backoff_s: float = Field(default=_RULES.backoff_s, ge=0, description="Wait after the first failed attempt.")
    max_backoff_s: float = Field(default=_RULES.max_backoff_s, ge=0, description="Longest wait between two attempts.")
    time_limit_s: float = Field(default=_RULES.time_limit_s, gt=0, description="Longest a delivery may run.")
    run_grace_s: float = Field(
        default=_RULES.run_grace_s, ge=0, description="On top of the time limit before a silent run is recalled."
    )
    report_grace_s: float = Field(
        default=_RULES.report_grace_s,
        ge=0,
        description="A report that waits for longer to be read holds up recalls: it may be what is missed.",
    )
    write_grace_s: float = Field(
        default=_RULES.write_grace_s, ge=0, description="After which an incomplete release is taken back."
    )
    keepalive_s: float = Field(default=_RULES.keepalive_s, gt=0, description="How often workers publish their status.")
    last_known_s: float = Field(
        default=_RULES.last_known_s, ge=0, description="How long a pool nobody hears from counts as last known."
    )
    keep_results_s: float = Field(
        default=_RULES.keep_results_s, ge=0, description="How long delivered files that nothing names are kept."
    )
    keep_jobs_s: float | None = Field(
        default=_RULES.keep_jobs_s,
        ge=0,
        description="How long a job is kept that is over; its results as long as any job that has them. "
        "For ever where not set.",
    )
    max_pinned_jobs: int = Field(
        default=_RULES.max_pinned_jobs, ge=0, description="Jobs of a user that do not expire because they are pinned."
    )
    max_candidates: int = Field(default=_RULES.max_candidates, ge=1, description="Pending tasks a round looks at.")
    deadline_confidence: float = Field(
        default=_RULES.deadline_confidence,
        gt=0.5,
        lt=1,
        description="How sure a task that goes to the cloud at its latest start is to make its deadline.",
    )
    parallel_releases: int = Field(
        default=_RULES.parallel_releases, ge=1, le=64, description="Releases a round carries out at the same time."
    )
    neighbour_wait_s: float = Field(
        default=_RULES.neighbour_wait_s,
        ge=0,
        le=6 * 86_400,
        description="How long an image of a standing order on the seam between two slices of a pass waits for "
        "the one that is not there; 0: it is made at once, and again when the other comes.",
    )
    wanted_limit_s: float = Field(
        default=_RULES.wanted_limit_s,
        ge=0,
        description="How long a job waits for a product that it names by id, that is nowhere the site reads from, and "
        "that `orthoagent procure` is to fetch; 86400 say. 0: nobody fetches here, such a job fails at once.",
    )
    month_budget_eur: float | None = Field(
        default=_RULES.month_budget_eur,
        ge=0,
        description="Cloud money a month may reserve; no limit where not set. "
        "What settings/pools.yaml says goes before it.",
    )

    @model_validator(mode="after")
    def _storage_is_named(self) -> Self:
        if self.storage is None and self.storage_account is None:
            raise ValueError("set ORTHOBURST_STORAGE_ACCOUNT, or ORTHOBURST_STORAGE (AzureWebJobsStorage)")
        return self

    @model_validator(mode="after")
    def _one_certificate(self) -> Self:
        if (self.broker_cert is None) != (self.broker_key is None):
            raise ValueError("ORTHOBURST_BROKER_CERT and ORTHOBURST_BROKER_KEY are set together or not at all")
        if self.broker_cert is not None and (self.broker_cert_file or self.broker_key_file):
            raise ValueError("the broker's certificate is given as text or as files, not both")
        return self

    @model_validator(mode="after")
    def _the_issuer_is_whole(self) -> Self:
        if (self.oidc_issuer is None) != (self.oidc_audience is None):
            raise ValueError("ORTHOBURST_OIDC_ISSUER and ORTHOBURST_OIDC_AUDIENCE are set together or not at all")
        if self.oidc_issuer is not None:
            check_issuer_url(self.oidc_issuer)
        return self

    def token_rules(self) -> TokenRules | None:
        """None where no issuer's tokens count."""
        if self.oidc_issuer is None or self.oidc_audience is None:
            return None
        return TokenRules(
            issuer=self.oidc_issuer,
            audience=self.oidc_audience,
            user_claim=self.oidc_user_claim,
            groups_claim=self.oidc_groups_claim,
            roles_claim=self.oidc_roles_claim,
            roles=self.oidc_roles,
            default_scopes=frozenset(Scope(one) for one in self.oidc_default_scopes.split(",") if one),
        )

    def allowed_hosts(self) -> AllowedHosts:
        return AllowedHosts.of(self.callback_hosts, loopback=self.callback_loopback)

    def hosts(self) -> Hosts:
        names = ("ORTHOBURST_PRODUCT_HOSTS", "ORTHOBURST_PRODUCT_HOSTS_INTERNAL")
        return Hosts.of(self.product_hosts, self.product_hosts_internal, names)

    def rules(self) -> Rules:
        return Rules(**{name: getattr(self, name) for name in Rules.__dataclass_fields__})

    def limits(self) -> Limits:
        return Limits(**{name: getattr(self, name) for name in Limits.__dataclass_fields__})
