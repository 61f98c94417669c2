"""Schemas of the Kubernetes kinds that ``infra/kubernetes`` uses: what fields there are, of what types, which must be.

Facts of Kubernetes 1.34's API (core/v1, networking.k8s.io/v1, and batch/v1 inside ScaledJob) and of KEDA 2's
ScaledJob and TriggerAuthentication definitions. Of large types that are not used (probes other than exec, volumes
other than emptyDir and secret) only the names are here. A field that is not here is refused, as the API server warns
of it and drops it.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
YES_NO: Schema = {"type": "boolean"}
TEXTS: Schema = {"type": "array", "items": TEXT}
MAP: Schema = {"type": "object", "additionalProperties": TEXT}
ANY: Schema = {}
QUANTITY: Schema = {"type": "string", "pattern": r"^[0-9.]+(m|[kMGTPE]|[KMGTPE]i)?$"}
PORT: Schema = {"type": ["integer", "string"]}
LABELS: Schema = {
    "type": "object",
    "additionalProperties": {"type": "string", "pattern": r"^([A-Za-z0-9][\w.-]{0,62})?$"},
}


def of(required: str = "", **fields: Schema) -> Schema:
    """An object with these fields and no others; ``required`` names some of them."""
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


def many(item: Schema, least: int = 0) -> Schema:
    return {"type": "array", "items": item, "minItems": least}


def kind(api_version: str, name: str, required: str = "", **fields: Schema) -> Schema:
    head = {"apiVersion": {"const": api_version}, "kind": {"const": name}, "metadata": METADATA}
    return of(f"apiVersion kind metadata {required}", **head, **fields)


METADATA = of("name", name=TEXT, namespace=TEXT, labels=LABELS, annotations=MAP)
SELECTOR = of(matchLabels=LABELS, matchExpressions=many(of("key operator", key=TEXT, operator=TEXT, values=TEXTS)))

_KEY = of("key", name=TEXT, key=TEXT, optional=YES_NO)
_SOURCE = of(name=TEXT, optional=YES_NO)
_ENV = of(
    "name",
    name=TEXT,
    value=TEXT,
    valueFrom=of(
        configMapKeyRef=_KEY,
        secretKeyRef=_KEY,
        fieldRef=of("fieldPath", apiVersion=TEXT, fieldPath=TEXT),
        resourceFieldRef=of("resource", containerName=TEXT, divisor=QUANTITY, resource=TEXT),
    ),
)
_PROBE = of(
    exec=of(command=TEXTS), httpGet=ANY, tcpSocket=ANY, grpc=ANY, initialDelaySeconds=WHOLE, periodSeconds=WHOLE,
    timeoutSeconds=WHOLE, failureThreshold=WHOLE, successThreshold=WHOLE, terminationGracePeriodSeconds=WHOLE,
)  # fmt: skip
_SECCOMP = of("type", type=one_of("RuntimeDefault", "Localhost", "Unconfined"), localhostProfile=TEXT)
_CONTAINER = of(
    "name",
    name=TEXT, image=TEXT, imagePullPolicy=one_of("Always", "IfNotPresent", "Never"), command=TEXTS, args=TEXTS,
    workingDir=TEXT, env=many(_ENV), envFrom=many(of(prefix=TEXT, configMapRef=_SOURCE, secretRef=_SOURCE)), ports=ANY,
    resources=of(
        requests={"type": "object", "additionalProperties": QUANTITY},
        limits={"type": "object", "additionalProperties": QUANTITY},
    ),
    securityContext=of(
        allowPrivilegeEscalation=YES_NO, capabilities=of(add=TEXTS, drop=TEXTS), privileged=YES_NO,
        readOnlyRootFilesystem=YES_NO, runAsGroup=WHOLE, runAsNonRoot=YES_NO, runAsUser=WHOLE, seccompProfile=_SECCOMP,
        appArmorProfile=ANY, procMount=TEXT, seLinuxOptions=ANY,
    ),
    livenessProbe=_PROBE, readinessProbe=_PROBE, startupProbe=_PROBE, lifecycle=ANY,
    terminationMessagePath=TEXT, terminationMessagePolicy=TEXT,
    volumeMounts=many(
        of("name mountPath", name=TEXT, mountPath=TEXT, readOnly=YES_NO, subPath=TEXT, mountPropagation=TEXT)
    ),
)  # fmt: skip
_VOLUME = of(
    "name",
    name=TEXT,
    emptyDir=of(medium=one_of("", "Memory"), sizeLimit=QUANTITY),
    secret=of(
        secretName=TEXT,
        optional=YES_NO,
        defaultMode={"type": "integer", "minimum": 0, "maximum": 0o777},
        items=many(of("key path", key=TEXT, path=TEXT, mode=WHOLE)),
    ),
    configMap=ANY, csi=ANY, ephemeral=ANY, hostPath=ANY, nfs=ANY, persistentVolumeClaim=ANY, projected=ANY,
)  # fmt: skip
_POD = of(
    "containers",
    activeDeadlineSeconds=WHOLE, affinity=ANY, automountServiceAccountToken=YES_NO, containers=many(_CONTAINER, 1),
    dnsConfig=ANY, dnsPolicy=TEXT, enableServiceLinks=YES_NO, hostNetwork=YES_NO, hostPID=YES_NO, hostIPC=YES_NO,
    imagePullSecrets=many(of("name", name=TEXT)), initContainers=many(_CONTAINER), nodeName=TEXT, nodeSelector=MAP,
    preemptionPolicy=TEXT, priorityClassName=TEXT, restartPolicy=one_of("Never", "OnFailure"), runtimeClassName=TEXT,
    schedulerName=TEXT, serviceAccountName=TEXT, shareProcessNamespace=YES_NO, terminationGracePeriodSeconds=WHOLE,
    tolerations=ANY, topologySpreadConstraints=ANY, volumes=many(_VOLUME),
    securityContext=of(
        fsGroup=WHOLE, fsGroupChangePolicy=TEXT, runAsGroup=WHOLE, runAsNonRoot=YES_NO, runAsUser=WHOLE,
        seccompProfile=_SECCOMP, seLinuxOptions=ANY, supplementalGroups=ANY, sysctls=ANY,
    ),
)  # fmt: skip
_JOB = of(
    "template",
    activeDeadlineSeconds=WHOLE, backoffLimit=WHOLE, backoffLimitPerIndex=WHOLE, completionMode=TEXT, completions=WHOLE,
    managedBy=TEXT, manualSelector=YES_NO, maxFailedIndexes=WHOLE, parallelism=WHOLE, podFailurePolicy=ANY,
    podReplacementPolicy=TEXT, selector=SELECTOR, successPolicy=ANY, suspend=YES_NO, ttlSecondsAfterFinished=WHOLE,
    template=of("spec", metadata=of(labels=LABELS, annotations=MAP), spec=_POD),
)  # fmt: skip
_AZURE_QUEUE = of(
    "queueName",
    accountName=TEXT, activationQueueLength=TEXT, cloud=TEXT, connection=TEXT, connectionFromEnv=TEXT,
    endpointSuffix=TEXT, queueLength={"type": "string", "pattern": "^[1-9][0-9]*$"}, queueName=TEXT,
    queueLengthStrategy=one_of("all", "visibleonly"),
)  # fmt: skip
_TRIGGER = of(
    "type metadata",
    type={"const": "azure-queue"},
    name=TEXT,
    metadata=_AZURE_QUEUE,
    metricType=TEXT,
    useCachedMetrics=YES_NO,
    authenticationRef=of("name", name=TEXT, kind=one_of("TriggerAuthentication", "ClusterTriggerAuthentication")),
)
_PEER = of(
    podSelector=SELECTOR,
    namespaceSelector=SELECTOR,
    ipBlock=of("cidr", cidr=TEXT, **{"except": TEXTS}),
)
_PORTS = many(of(protocol=one_of("TCP", "UDP", "SCTP"), port=PORT, endPort=WHOLE))

KINDS: dict[str, Schema] = {
    "Namespace": kind("v1", "Namespace", spec=ANY),
    "ServiceAccount": kind(
        "v1", "ServiceAccount", automountServiceAccountToken=YES_NO, imagePullSecrets=ANY, secrets=ANY
    ),
    "ConfigMap": kind("v1", "ConfigMap", data=MAP, binaryData=MAP, immutable=YES_NO),
    "NetworkPolicy": kind(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "spec",
        spec=of(
            "podSelector",
            podSelector=SELECTOR,
            policyTypes=many(one_of("Ingress", "Egress")),
            ingress=many(of(ports=_PORTS, **{"from": many(_PEER)})),
            egress=many(of(ports=_PORTS, to=many(_PEER))),
        ),
    ),
    "ScaledJob": kind(
        "keda.sh/v1alpha1",
        "ScaledJob",
        "spec",
        spec=of(
            "jobTargetRef triggers",
            envSourceContainerName=TEXT, failedJobsHistoryLimit=WHOLE, successfulJobsHistoryLimit=WHOLE,
            jobTargetRef=_JOB, maxReplicaCount=WHOLE, minReplicaCount=WHOLE, pollingInterval=WHOLE,
            rollout=of(propagationPolicy=one_of("foreground", "background"), strategy=one_of("gradual", "immediate")),
            rolloutStrategy=one_of("gradual", "immediate"),
            scalingStrategy=of(
                customScalingQueueLengthDeduction=WHOLE, customScalingRunningJobPercentage=TEXT,
                multipleScalersCalculation=one_of("min", "avg", "sum", "max"), pendingPodConditions=TEXTS,
                strategy=one_of("default", "custom", "accurate", "eager"),
            ),
            triggers=many(_TRIGGER, 1),
        ),
    ),
    "TriggerAuthentication": kind(
        "keda.sh/v1alpha1",
        "TriggerAuthentication",
        "spec",
        spec=of(
            podIdentity=of(
                "provider",
                provider=one_of("azure-workload", "gcp", "aws", "aws-eks", "none"),
                identityAuthorityHost=TEXT, identityId=TEXT, identityOwner=TEXT, identityTenantId=TEXT, roleArn=TEXT,
            ),
            secretTargetRef=many(of("parameter name key", parameter=TEXT, name=TEXT, key=TEXT)),
            configMapTargetRef=ANY, env=ANY, filePath=TEXT, hashiCorpVault=ANY, azureKeyVault=ANY, gcpSecretManager=ANY,
            awsSecretManager=ANY, boundServiceAccountToken=ANY, oauth2=ANY,
        ),
    ),
}  # fmt: skip
"""A schema a kind."""
